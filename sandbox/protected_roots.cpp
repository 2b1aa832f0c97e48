#include "sandbox/protected_roots.h"

namespace sable::sandbox {

namespace {

constexpr std::chrono::microseconds kSlice{800};

}  // namespace

ProtectedIndexes ProtectedRoots::of(const Policy& policy, const Host& host) {
  const std::lock_guard lock(mutex_);
  if (known_.size() > kKept) {
    std::erase_if(known_, [](const auto& entry) { return entry.second.use_count() == 1; });
  }
  ProtectedIndexes indexes;
  for (const auto& path : policy.writable) {
    const PathFacts facts = host.look_up(path.lexically_normal());
    if (facts.kind != PathFacts::Kind::folder) continue;
    auto& index = known_[facts.canonical];
    if (!index) index = std::make_shared<ProtectedIndex>(facts.canonical, git_user_);
    indexes.push_back(index);
  }
  return indexes;
}

asio::awaitable<std::shared_ptr<const ProtectedPaths>> look_at(ProtectedIndexes indexes,
                                                               GitSettings settings) {
  const auto executor = co_await asio::this_coro::executor;
  std::shared_ptr<const ProtectedPaths> all;
  for (const auto& index : indexes) {
    index->begin(settings);
    while (!index->advance(kSlice)) co_await asio::post(executor, asio::use_awaitable);
    auto found = index->found();
    if (all) {
      auto both = std::make_shared<ProtectedPaths>(*all);
      both->insert(found->begin(), found->end());
      all = std::move(both);
    } else {
      all = std::move(found);
    }
  }
  if (!all) all = std::make_shared<ProtectedPaths>();
  co_return all;
}

void doubt(const ProtectedIndexes& indexes) {
  for (const auto& index : indexes) index->doubt();
}

}  // namespace sable::sandbox
