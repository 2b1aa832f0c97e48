// A repository's own tools and agents, and whether the user has accepted exactly these bytes.
//
// read_brought() reads them once into memory; what is hashed, shown to the user, compared and
// loaded are these bytes and never a second reading. Only TrustStore::check() makes TrustedContent,
// which is the only thing that loads.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace sable::runtime::config {

struct BroughtFile {
  std::string path;  ///< relative to the repository: ".sable/tools/lint.yaml"
  std::string content;
};

/// All that lies in .sable/tools/ and .sable/agents/ of a repository, at one moment.
struct BroughtContent {
  std::filesystem::path repository;  ///< absolute, links resolved
  std::vector<BroughtFile> files;    ///< in byte order of their paths
  std::string digest;                ///< "sha256:HEX" over all names and bytes
};

/// Reads what a repository brings: every file, also those that definitions only mention. Bounded in
/// files, bytes and depth; symbolic links and anything else but plain files are refused. Errors
/// name the path: denied, exhausted, invalid_input, not_found (no such repository), io.
Result<BroughtContent> read_brought(const std::filesystem::path& repository);

/// Content that the user has accepted byte for byte.
class TrustedContent {
 public:
  const std::filesystem::path& repository() const { return content_.repository; }
  const std::string& digest() const { return content_.digest; }
  /// The definitions to load: *.yaml directly in .sable/tools/ and .sable/agents/.
  std::vector<BroughtFile> tools() const;
  std::vector<BroughtFile> agents() const;

 private:
  friend class TrustStore;
  explicit TrustedContent(BroughtContent content) : content_(std::move(content)) {}
  BroughtContent content_;
};

/// What check() found.
struct Verdict {
  enum class State {
    empty,    ///< the repository brings nothing
    trusted,  ///< these bytes were accepted
    unknown,  ///< nothing of this repository was ever accepted
    changed,  ///< something else was accepted; the lists say what differs from the last time
  };
  State state = State::empty;
  std::optional<TrustedContent> trusted;  ///< when state is trusted
  std::vector<std::string> added, removed, modified;
};

std::string_view name_of(Verdict::State state);

/// For people: one line, and below it one for each file that is new or different; safe to print.
/// Empty when the repository brings nothing.
std::string to_text(const Verdict& verdict);

/// What users have accepted, in HOME/trust.json (mode 0600). Several processes may use it at once.
class TrustStore {
 public:
  /// `home` is made on the first grant. `clock` outlives the store.
  TrustStore(std::filesystem::path home, const Clock& clock);

  /// Errors: corrupt (a damaged store is never taken for an empty one), denied (others may write
  /// it), unsupported (of a newer version), io.
  Result<Verdict> check(BroughtContent content) const;

  /// Accepts exactly these bytes for this path. Durable when it returns. Earlier ones stay
  /// accepted, so that switching branches does not ask again; the oldest are forgotten.
  Result<void> grant(const BroughtContent& content) const;

  /// Forgets all that was accepted for a repository, which need not exist any more. False: nothing
  /// was.
  Result<bool> revoke(const std::filesystem::path& repository) const;

 private:
  struct Grant;
  Result<std::vector<Grant>> read() const;
  Result<void> write(std::vector<Grant> grants) const;
  std::filesystem::path file() const { return home_ / "trust.json"; }

  std::filesystem::path home_;
  const Clock* clock_;
};

}  // namespace sable::runtime::config
