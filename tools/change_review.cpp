#include "tools/change_review.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>

#include <fmt/format.h>

#include "base/file.h"
#include "base/task_group.h"
#include "base/text.h"
#include "tools/beneath.h"

namespace sable::tools {

namespace {

namespace fs = std::filesystem;
using sandbox::Change;
using sandbox::KeptApart;
using sandbox::Transaction;

constexpr size_t kShownFileMax = size_t{1} << 20;   ///< a larger one is named, not shown
constexpr size_t kBytesReadMax = size_t{32} << 20;  ///< of all files together; then the same

/// A regular file that lies where its path says, through no link: the command chose the names, and
/// what it could not read must not come back to its model in a diff.
Result<std::string> read_in_place(const fs::path& root, const fs::path& path) {
  const UniqueFd folder(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return fail_errno(escape_controls(root.string()), errno);
  SABLE_TRY(const UniqueFd file,
            open_beneath(folder.get(), path.native(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  SABLE_TRY(const std::string place, place_beneath(folder.get(), file.get()));
  if (place != path.native()) {
    return fail(ErrorCode::denied, escape_controls(path.string()) + ": lies behind a link");
  }
  return read_file(fmt::format("/proc/self/fd/{}", file.get()), kShownFileMax);
}

/// A regular file's content before and after; nothing where there is none, or too much of it.
std::optional<FileChange> file_of(const Transaction& transaction, const Change& change) {
  if (change.type != Change::Type::file || change.kind == Change::Kind::replaced) return {};
  FileChange file{.path = change.path.string(), .before = {}, .after = {}};
  if (change.kind != Change::Kind::created) {
    auto before = read_in_place(transaction.root(), change.path);
    if (!before) return {};
    file.before = std::move(*before);
  }
  if (change.kind != Change::Kind::removed) {
    auto after = read_in_place(transaction.changed_file({}), change.path);
    if (!after) return {};
    file.after = std::move(*after);
  }
  file.diff = unified_diff(file);
  return file;
}

Result<std::vector<ProposedChange>> proposed_by(const KeptApart& kept) {
  std::vector<ProposedChange> proposed;
  size_t bytes_read = 0;
  for (const auto& transaction : kept.transactions()) {
    SABLE_TRY(const auto changes, transaction.changes());
    for (const auto& change : changes) {
      ProposedChange next{.root = transaction.root(),
                          .path = change.path,
                          .kind = change.kind,
                          .protected_name = change.protected_name,
                          .file = {}};
      if (bytes_read < kBytesReadMax) next.file = file_of(transaction, change);
      if (next.file) {
        bytes_read += next.file->before.value_or("").size() + next.file->after.value_or("").size();
      }
      proposed.push_back(std::move(next));
    }
  }
  return proposed;
}

/// What a worker hands back: the changes go with their owner.
struct Listed {
  HeldChanges kept;
  Result<std::vector<ProposedChange>> changes;
};

}  // namespace

std::string_view name_of(Change::Kind kind) {
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

bool ProposedChanges::has_protected() const {
  return std::any_of(changes.begin(), changes.end(),
                     [](const ProposedChange& change) { return change.protected_name; });
}

std::string ProposedChanges::text(size_t bytes_max) const {
  std::string text;
  size_t n_shown = 0;
  for (const auto& change : changes) {
    std::string line =
        fmt::format("{} {}{}\n", name_of(change.kind), escape_controls(change.path.string()),
                    change.protected_name ? " (protected: programs outside run or trust it)" : "");
    if (text.size() + line.size() > bytes_max) break;
    text += line;
    ++n_shown;
    const std::string_view diff = change.file ? std::string_view(change.file->diff) : "";
    if (text.size() + diff.size() <= bytes_max) {
      text += diff;
    } else {
      text += "[its diff is too long to be shown here]\n";
    }
  }
  if (n_shown < changes.size()) {
    text += fmt::format("[and {} more changes]\n", changes.size() - n_shown);
  }
  return text;
}

namespace {

asio::awaitable<bool> is_cancelled() {
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

asio::awaitable<Review> reviewed(const ProposedChanges& changes, ChangeReviewer* reviewer) {
  if (changes.changes.empty()) co_return Review();
  if (reviewer == nullptr) co_return Review{.reason = "nobody can be asked here"};
  const bool late = co_await is_cancelled();
  Review review;
  if (!late) review = co_await reviewer->review(changes);
  const bool stopped = co_await is_cancelled();
  if (stopped) co_return Review{.reason = "the call was stopped"};
  co_return review;
}

}  // namespace

asio::awaitable<Result<SettledChanges>> settle_changes(HeldChanges kept, ProposedChanges proposed,
                                                       ChangeReviewer* reviewer,
                                                       asio::thread_pool& workers) {
  co_await asio::this_coro::throw_if_cancelled(false);  // what is kept goes on a worker, not here
  auto list = [kept = std::move(kept)]() mutable {
    auto changes = proposed_by(*kept);
    return Listed{.kept = std::move(kept), .changes = std::move(changes)};
  };
  Listed listed = co_await run_blocking(workers, std::move(list));
  if (!listed.changes) co_return fail(std::move(listed.changes.error()));
  proposed.changes = std::move(*listed.changes);
  SettledChanges settled{.proposed = std::move(proposed)};
  Review review = co_await reviewed(settled.proposed, reviewer);
  const auto names =
      review.accepts_protected ? Transaction::Protected::accept : Transaction::Protected::refuse;
  auto finish = [held = std::move(listed.kept), apply = review.apply, names]() mutable {
    const std::unique_ptr<KeptApart> kept(held.release());  // and what it holds goes here
    return apply ? kept->apply(names) : Result<void>();
  };
  auto applied = co_await run_blocking(workers, std::move(finish));
  settled.applied = review.apply && applied;
  settled.reason = std::move(review.reason);
  if (!applied && applied.error().code == ErrorCode::denied) {
    settled.refused = true;
    settled.reason = std::move(applied.error().message);
  } else if (!applied) {
    co_return fail_in(
        "the changes could not be applied; if that had begun, it is finished when the next session "
        "begins",
        std::move(applied.error()));
  }
  co_return settled;
}

}  // namespace sable::tools
