#include "runtime/cli/kept_apart.h"

#include <cerrno>
#include <cstdio>
#include <iostream>
#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "tools/tools.h"

namespace sable::runtime {

namespace {

namespace fs = std::filesystem;
using sandbox::Change;
using sandbox::Transaction;

constexpr size_t kShownFileMax = size_t{1} << 20;  // a larger one is named, not shown

/// What began to be applied is applied whole; the rest is gone with the command that made it. What
/// cannot be brought to its end now (a full disk, say) stays for the next one, and that is said.
void finish_interrupted(const fs::path& place) {
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
      std::fprintf(stderr, "sable: changes that began to be applied wait in %s: %s\n",
                   escape_controls(store->path().string()).c_str(),
                   escape_controls(opened.error().message).c_str());
    }
    if (finished) fs::remove_all(it->path(), error);
  }
}

std::string_view verb_of(Change::Kind kind) {
  switch (kind) {
    case Change::Kind::created:
      return "created";
    case Change::Kind::modified:
      return "modified";
    case Change::Kind::removed:
      return "removed";
    case Change::Kind::replaced:
      break;
  }
  return "replaced";
}

/// Empty where there is nothing to show: no regular file, too large, or not readable.
std::string diff_of(const Transaction& transaction, const Change& change) {
  if (change.type != Change::Type::file || change.kind == Change::Kind::replaced) return {};
  tools::FileChange file{.path = change.path.string(), .before = {}, .after = {}};
  std::error_code error;
  const auto old = transaction.root() / change.path;
  if (fs::is_regular_file(fs::symlink_status(old, error))) {
    auto before = read_file(old, kShownFileMax);
    if (!before) return {};
    file.before = std::move(*before);
  }
  if (change.kind != Change::Kind::removed) {
    auto after = read_file(transaction.changed_file(change.path), kShownFileMax);
    if (!after) return {};
    file.after = std::move(*after);
  }
  return tools::unified_diff(file);
}

bool yes_from_terminal(const std::string& question) {
  std::fprintf(stderr, "%s [y/N] ", question.c_str());
  std::string answer;
  return std::getline(std::cin, answer) && (answer == "y" || answer == "yes");
}

}  // namespace

Result<KeptApart> KeptApart::begin(const fs::path& home, sandbox::Policy& policy) {
  if (policy.writable.empty()) {
    return fail(
        ErrorCode::invalid_input,
        "--transaction needs folders whose changes it keeps apart: name them with --writable");
  }
  const auto place = home / "transactions";
  std::error_code error;
  fs::create_directories(place, error);
  if (error) return fail_errno(place.string(), error.value());
  finish_interrupted(place);
  std::string folder = (place / "XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return fail_errno(place.string(), errno);
  UniqueFd lock = lock_folder(folder);
  if (!lock) return fail_errno("locking " + folder, errno);
  KeptApart kept(folder, std::move(lock));
  for (const auto& root : policy.writable) {
    const auto store = kept.folder_ / std::to_string(kept.transactions_.size());
    SABLE_TRY(auto transaction, Transaction::create(root, store));
    policy.transactions[root] = store;
    kept.transactions_.push_back(std::move(transaction));
  }
  return kept;
}

KeptApart::~KeptApart() {
  if (!lock_ || unfinished_) return;  // or moved from
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

Result<bool> KeptApart::settle(Apply apply, const Style& style) {
  size_t n_changes = 0;
  bool has_protected = false;
  for (const auto& transaction : transactions_) {
    SABLE_TRY(const auto changes, transaction.changes());
    n_changes += changes.size();
    for (const auto& change : changes) {
      has_protected = has_protected || change.protected_name;
      const auto shown = escape_controls((transaction.root() / change.path).string());
      std::fprintf(stderr, "sable: %s %s%s\n", std::string(verb_of(change.kind)).c_str(),
                   shown.c_str(),
                   change.protected_name
                       ? style.red(" (protected: programs outside run or trust it)").c_str()
                       : "");
      std::fputs(paint_diff(style, diff_of(transaction, change)).c_str(), stderr);
    }
  }
  if (n_changes == 0) {
    std::fputs("sable: nothing was changed\n", stderr);
    return false;
  }
  auto names = Transaction::Protected::refuse;
  bool wanted = apply == Apply::yes;
  if (apply == Apply::ask && ::isatty(STDIN_FILENO) == 1) {
    wanted = yes_from_terminal(has_protected ? "Apply all of it, the protected paths too?"
                                             : "Apply all of it?");
    if (wanted) names = Transaction::Protected::accept;
  } else if (apply == Apply::ask) {
    std::fputs("sable: nobody can be asked here: --apply yes applies without a question\n", stderr);
  }
  if (wanted) {
    if (has_protected && names == Transaction::Protected::refuse) {
      return fail(ErrorCode::denied,
                  "protected paths are among the changes, so nothing was applied; a person at a "
                  "terminal can accept them");
    }
    for (auto& transaction : transactions_) {
      const auto applied = transaction.apply(names);
      if (applied) continue;
      unfinished_ = applied.error().code != ErrorCode::denied;  // then nothing had begun
      return fail(applied.error());
    }
  }
  std::fprintf(stderr, "sable: %s\n", wanted ? "applied" : "dropped; nothing was changed");
  return wanted;
}

}  // namespace sable::runtime
