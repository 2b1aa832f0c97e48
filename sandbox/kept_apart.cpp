// One folder in the place of all of them: its lock tells whose owner lives from what a crash left.
#include <cerrno>
#include <cstdlib>

#include "base/file.h"
#include "base/text.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

namespace fs = std::filesystem;

Result<KeptApart> KeptApart::make_folder(const fs::path& place) {
  constexpr int kTriesMax = 16;
  std::error_code error;
  const bool made = fs::create_directories(place, error);
  if (made) fs::permissions(place, fs::perms::owner_all, error);
  if (error) return fail_errno(escape_controls(place.string()), error.value());
  for (int n = 0;; ++n) {
    std::string folder = (place / "XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) {
      return fail_errno(escape_controls(place.string()), errno);
    }
    UniqueFd lock = lock_folder(folder);
    // Before it was ours, somebody may have taken it for what a crash left.
    if (lock && fs::exists(folder, error)) return KeptApart(folder, std::move(lock));
    if (n == kTriesMax) return fail(ErrorCode::io, "locking " + escape_controls(folder));
  }
}

Result<KeptApart> KeptApart::begin(const fs::path& place, Policy& policy) {
  if (policy.writable.empty()) {
    return fail(ErrorCode::invalid_input,
                "a transaction needs writable folders whose changes it keeps apart");
  }
  SABLE_TRY(KeptApart kept, make_folder(place));
  for (const auto& root : policy.writable) {
    const auto store = kept.folder_ / std::to_string(kept.transactions_.size());
    SABLE_TRY(auto transaction, Transaction::create(root, store));
    policy.transactions[root] = store;
    kept.transactions_.push_back(std::move(transaction));
  }
  return kept;
}

KeptApart::~KeptApart() {
  if (!lock_ || unfinished_) return;  // moved from, or not ours to remove any more
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

Result<void> KeptApart::apply(Transaction::Protected names) {
  for (auto& transaction : transactions_) {
    const auto applied = transaction.apply(names);
    if (applied) continue;
    unfinished_ = applied.error().code != ErrorCode::denied;  // then nothing had begun
    return fail(applied.error());
  }
  return {};
}

std::vector<std::string> KeptApart::finish_interrupted(const fs::path& place) {
  std::vector<std::string> waiting;
  std::error_code ignored;
  for (fs::directory_iterator it(place, ignored), end; !ignored && it != end;
       it.increment(ignored)) {
    const UniqueFd lock = lock_folder(it->path());
    if (!lock) continue;
    std::error_code error;
    bool finished = true;
    for (fs::directory_iterator store(it->path(), error); !error && store != end;
         store.increment(error)) {
      const auto opened = Transaction::open(store->path());
      if (opened || opened.error().code == ErrorCode::not_found ||
          opened.error().code == ErrorCode::corrupt) {
        continue;
      }
      finished = false;
      waiting.push_back("changes that began to be applied wait in " +
                        escape_controls(store->path().string()) + ": " +
                        escape_controls(opened.error().message));
    }
    if (finished) fs::remove_all(it->path(), error);
  }
  return waiting;
}

}  // namespace sable::sandbox
