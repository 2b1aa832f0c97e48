// The door's Protection, for tools that write files themselves.
#include <mutex>

#include "sandbox/protected_paths.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

struct Protection::State {
  const std::filesystem::path root;
  std::once_flag made;
  std::unique_ptr<ProtectedIndex> index;
};

Protection::Protection(std::filesystem::path root)
    : state_(std::make_unique<State>(std::move(root))) {}
Protection::~Protection() = default;

std::optional<std::string> Protection::reason(std::string_view path) {
  if (const auto by_name = protection_of(path)) return std::string(*by_name);
  std::call_once(state_->made, [this] {
    state_->index = std::make_unique<ProtectedIndex>(state_->root, this_git_user());
  });
  state_->index->look();
  auto why = state_->index->named_by_git((state_->root / path).lexically_normal().string());
  if (why.empty()) return {};
  return why;
}

}  // namespace sable::sandbox
