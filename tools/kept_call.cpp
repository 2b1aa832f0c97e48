#include "tools/kept_call.h"

#include <fmt/format.h>

#include "base/task_group.h"
#include "base/text.h"

namespace sable::tools {

namespace {

constexpr size_t kShownToModelBytesMax = 8 << 10;
constexpr size_t kToldMax = 500;                   ///< of changes, in the log
constexpr size_t kDiffBytesMax = size_t{1} << 20;  ///< of all of them together

Json details_of(const SettledChanges& settled) {
  Json told = Json::array();
  for (const auto& change : settled.proposed.changes) {
    if (told.size() == kToldMax) break;
    told.push_back({{"path", to_utf8(change.path.string())}, {"kind", name_of(change.kind)}});
    if (change.protected_name) told.back()["protected"] = true;
  }
  return {{"applied", settled.applied},
          {"reason", to_utf8(settled.reason)},
          {"n_changes", settled.proposed.changes.size()},
          {"changes", std::move(told)}};
}

void tell(SettledChanges settled, Outcome& outcome) {
  if (settled.proposed.changes.empty()) return;
  outcome.text +=
      fmt::format("[its changes were kept apart{}: {}]\n{}",
                  settled.applied ? ", then applied as a whole"
                                  : " and dropped; nothing of them is in the workspace",
                  escape_controls(settled.reason), settled.proposed.text(kShownToModelBytesMax));
  outcome.details["kept_apart"] = details_of(settled);
  outcome.ok = outcome.ok && settled.applied;
  if (!settled.applied) return;
  size_t diff_bytes = 0;
  for (auto& change : settled.proposed.changes) {
    if (!change.file || outcome.changes.size() == kToldMax) continue;
    diff_bytes += change.file->diff.size();
    if (diff_bytes > kDiffBytesMax) break;
    outcome.changes.push_back(std::move(*change.file));
  }
}

}  // namespace

asio::awaitable<Result<HeldChanges>> keep_apart(const CallContext& context,
                                                sandbox::Policy& policy) {
  HeldChanges held;
  if (policy.files == sandbox::FileEffects::direct || policy.writable.empty()) {
    co_return Result<HeldChanges>(std::move(held));
  }
  if (context.kept_apart.empty()) {
    co_return fail(ErrorCode::unsupported,
                   "the policy keeps changes apart, and there is no place for them here");
  }
  auto begin = [place = context.kept_apart, &policy] {
    return sandbox::KeptApart::begin(place, policy);
  };
  auto begun = co_await run_blocking(context.workers, std::move(begin));
  if (!begun) co_return fail(std::move(begun.error()));
  held = std::make_unique<sandbox::KeptApart>(std::move(*begun));
  co_await asio::this_coro::throw_if_cancelled(false);
  co_return Result<HeldChanges>(std::move(held));
}

asio::awaitable<Result<sandbox::RunResult>> run_before_review(sandbox::Sandbox& sandbox,
                                                              sandbox::Policy policy,
                                                              sandbox::Command command,
                                                              sandbox::OutputSink output) {
  co_return co_await asio::co_spawn(
      co_await asio::this_coro::executor,
      sandbox.run(std::move(policy), std::move(command), std::move(output)), asio::use_awaitable);
}

asio::awaitable<Result<Outcome>> settled_outcome(CallContext context, HeldChanges kept,
                                                 std::string about, Outcome outcome) {
  if (!kept) co_return Result<Outcome>(std::move(outcome));
  ProposedChanges proposed{.about = std::move(about), .succeeded = outcome.ok};
  auto settled = co_await settle_changes(std::move(kept), std::move(proposed), context.reviewer,
                                         context.workers);
  if (!settled) co_return fail(std::move(settled.error()));
  tell(std::move(*settled), outcome);
  co_return Result<Outcome>(std::move(outcome));
}

}  // namespace sable::tools
