// Where an episode is played: a folder with a made-up repository, the real tools over it, and the
// record of what was said.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "training/episode.h"
#include "training/made_repository.h"

namespace sable::training {

/// A folder and the real tools, their commands in the real sandbox. Used for one episode after
/// another.
class Workbench {
 public:
  /// `folder` is emptied for each repository. Errors: no sandbox here, no such folder.
  static Result<std::unique_ptr<Workbench>> open(const std::filesystem::path& folder,
                                                 const std::filesystem::path& launcher);
  ~Workbench();

  Result<void> lay_out(const MadeRepository& repository);
  /// What a call gives; one that the tool's schema refuses gives the refusal, as in a session.
  Result<tools::Outcome> call(const std::string& tool, const Json& arguments);
  const std::filesystem::path& folder() const;
  /// A file's present content.
  std::string content(const std::string& path) const;

 private:
  struct State;
  explicit Workbench(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Plays one episode. Calls that could not run at all make the episode unusable (good() is false).
class Stage {
 public:
  Stage(Workbench& bench, const AgentPack& pack, Split split, Random& random);

  /// Before user(): lays the files out under a path that looks like a person's.
  void begin(const MadeRepository& repository);
  void user(std::string text);
  /// The teacher calls a tool; what came back, as the model reads it.
  const std::string& call(const std::string& tool, Json arguments);
  /// A call that a careless hand would make; the model sees it and does not learn to make it.
  const std::string& mistake(const std::string& tool, Json arguments);
  bool ok() const { return ok_; }  ///< the last call's
  /// The teacher's closing words.
  void answer(std::string text);

  bool good() const { return good_; }
  Episode take(std::string family);
  Workbench& bench() { return bench_; }
  Split split() const { return split_; }
  Random& random() { return random_; }

 private:
  void add_system();
  std::vector<Json> offered_tools();

  Workbench& bench_;
  const AgentPack& pack_;
  Split split_;
  Random& random_;
  std::string root_;  // as the model sees it
  Episode episode_;
  std::string result_;
  std::vector<std::string> used_tools_;
  size_t n_calls_ = 0, n_replies_ = 0;
  bool ok_ = true, good_ = true;
};

/// The path and the line number of one line of search results.
struct Hit {
  std::string path, text;
  size_t line = 0;
};
std::vector<Hit> hits_of(const std::string& result);

}  // namespace sable::training
