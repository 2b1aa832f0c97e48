// Where a task is played: a teacher speaks and calls, and everything is put on record.
#pragma once

#include <string>
#include <vector>

#include "agent/agent.h"
#include "evaluation/repository_source.h"
#include "evaluation/truth.h"
#include "evaluation/workbench.h"

namespace sable::evaluation {

/// What a teacher did: one conversation, and what of it is true.
struct Play {
  MadeRepository repository;
  std::string root;  ///< where the repository lies, as the conversation has it
  std::vector<agent::PromptMessage> messages;  ///< from the user's on; no system message
  /// Replies (counted from 0) that show a mistake, to be seen and recovered from but not learned.
  std::vector<size_t> mistakes;
  std::vector<std::string> used_tools;  ///< one for each call
  Truth truth;                          ///< without its files
};

/// What tasks are made of.
struct World {
  Split names = Split::test;         ///< the side that new names are of
  Split wordings = Split::training;  ///< the side that requests are of
  const RepositorySource& source;    ///< outlives the stage
};

/// Plays one task. Calls that could not run at all make the play unusable (good() is false).
class Stage {
 public:
  Stage(Workbench& bench, const World& world, Random& random);

  /// The source's next repository.
  std::optional<MadeRepository> repository(const RepositoryWish& wish, Names& names) {
    return world_.source.repository(wish, names, random_);
  }

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
  /// What any right end of the task has in common; the files are those that the teacher leaves.
  void expect(Truth truth) { play_.truth = std::move(truth); }

  bool good() const { return good_; }
  Play take() { return std::move(play_); }
  Split split() const { return world_.names; }
  Split wordings() const { return world_.wordings; }
  Random& random() { return random_; }

 private:
  Workbench& bench_;
  World world_;
  Random& random_;
  Play play_;
  std::string result_;
  size_t n_calls_ = 0, n_replies_ = 0;
  bool ok_ = true, good_ = true;
};

/// The path and the line number of one line of search results.
struct Hit {
  std::string path, text;
  size_t line = 0;
};
std::vector<Hit> hits_of(const std::string& result);

}  // namespace sable::evaluation
