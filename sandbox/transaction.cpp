// The store of a transaction: `upper` and `work` of the overlay, and `state`, which says what it is
// for and whether it is being applied. A state is replaced atomically; from the moment it says
// "applying" the changes will be applied, however often that is interrupted.
#include <cerrno>
#include <ctime>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "sandbox/overlay_tree.h"
#include "sandbox/protected_paths.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

namespace {

namespace fs = std::filesystem;

std::string in_quotes(const fs::path& path) { return "\"" + escape_controls(path.string()) + "\""; }

int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

Result<void> write_state(const fs::path& store, const fs::path& root, int64_t since_ns,
                         bool applying) {
  const Json state = {
      {"version", 1}, {"root", root.string()}, {"since_ns", since_ns}, {"applying", applying}};
  return write_file_atomically(store / "state", dump_json(state) + "\n", 0600);
}

// Empties both folders of the overlay, or makes them.
Result<void> clear(const fs::path& store) {
  for (const char* name : {"upper", "work"}) {
    const fs::path path = store / name;
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      return fail_errno(escape_controls(path.string()), errno);
    }
    SABLE_TRY(const UniqueFd folder, open_folder(path));
    SABLE_TRY_VOID(empty_folder(folder.get()));
  }
  return {};
}

Result<void> apply_all(const fs::path& store, const fs::path& root) {
  SABLE_TRY(const UniqueFd upper, open_folder(store / "upper"));
  SABLE_TRY(const UniqueFd lower, open_folder(root));
  SABLE_TRY_VOID(apply_layer(upper.get(), lower.get()));
  return clear(store);
}

}  // namespace

Result<Transaction> Transaction::create(const fs::path& root, const fs::path& store) {
  std::error_code error;
  const fs::path real_root = fs::canonical(root, error);
  if (error || !fs::is_directory(real_root)) {
    return fail(ErrorCode::invalid_input, in_quotes(root) + " is no folder");
  }
  if (::mkdir(store.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(escape_controls(store.string()), errno);
  }
  const fs::path real_store = fs::canonical(store, error);
  if (error || !fs::is_empty(real_store, error) || error) {
    return fail(ErrorCode::invalid_input, "the store " + in_quotes(store) + " is not empty");
  }
  const auto [end, unused] =
      std::mismatch(real_root.begin(), real_root.end(), real_store.begin(), real_store.end());
  if (end == real_root.end()) {
    return fail(ErrorCode::invalid_input,
                "the store " + in_quotes(store) + " lies below the folder it is for");
  }
  SABLE_TRY_VOID(clear(real_store));
  const int64_t since_ns = now_ns();
  SABLE_TRY_VOID(write_state(real_store, real_root, since_ns, false));
  return Transaction(real_root, real_store, since_ns);
}

Result<Transaction> Transaction::open(const fs::path& store) {
  SABLE_TRY(const std::string text, read_file(store / "state", size_t{64} << 10));
  const auto state = parse_json(text);
  if (!state || !state->is_object() || !state->contains("root") || !(*state)["root"].is_string() ||
      !state->contains("since_ns") || !(*state)["since_ns"].is_number_integer() ||
      !state->contains("applying") || !(*state)["applying"].is_boolean()) {
    return fail(ErrorCode::corrupt,
                "the transaction's state in " + in_quotes(store) + " is damaged");
  }
  Transaction transaction((*state)["root"].get<std::string>(), fs::path(store),
                          (*state)["since_ns"].get<int64_t>());
  if ((*state)["applying"].get<bool>()) {
    SABLE_TRY_VOID(apply_all(transaction.store_, transaction.root_));
    SABLE_TRY_VOID(transaction.drop());
  }
  return transaction;
}

Result<std::vector<Change>> Transaction::changes() const {
  SABLE_TRY(const UniqueFd upper, open_folder(store_ / "upper"));
  SABLE_TRY(const UniqueFd lower, open_folder(root_));
  SABLE_TRY(auto changes, changes_in(upper.get(), lower.get()));
  ProtectedIndex index(root_, this_git_user());
  index.look();
  for (auto& change : changes) {
    const bool named = !index.named_by_git((root_ / change.path).string()).empty();
    change.protected_name = change.protected_name || named;
  }
  return changes;
}

fs::path Transaction::changed_file(const fs::path& path) const { return store_ / "upper" / path; }

Result<void> Transaction::apply(Protected names) {
  SABLE_TRY(const auto found, changes());
  for (const auto& change : found) {
    if (!change.protected_name || names == Protected::accept) continue;
    return fail(ErrorCode::denied,
                in_quotes(change.path) +
                    " is run or believed by programs outside the sandbox; nothing was applied");
  }
  SABLE_TRY(const UniqueFd lower, open_folder(root_));
  const auto conflicts = changed_since(lower.get(), found, since_ns_);
  if (!conflicts.empty()) {
    return fail(ErrorCode::denied, in_quotes(conflicts.front()) +
                                       " was changed by somebody else since the transaction "
                                       "began; nothing was applied");
  }
  SABLE_TRY_VOID(write_state(store_, root_, since_ns_, true));
  SABLE_TRY_VOID(apply_all(store_, root_));
  return drop();
}

Result<void> Transaction::drop() {
  SABLE_TRY_VOID(clear(store_));
  since_ns_ = now_ns();
  return write_state(store_, root_, since_ns_, false);
}

}  // namespace sable::sandbox
