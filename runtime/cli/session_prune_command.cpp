// `sable session prune`: what the user's limits, or the command's own, no longer keep.
#include "runtime/cli/session_prune_command.h"

#include <fmt/format.h>

#include "base/text.h"
#include "runtime/cli/swept.h"
#include "runtime/config/quantity.h"
#include "runtime/terminal/output.h"

namespace sable::runtime {

namespace {

constexpr uint64_t kDaysMax = 36'500;

/// The limits of the configuration, with those of the command line in their place.
Result<memory::Retention> policy_of(const Program& program, const PruneOptions& options) {
  SABLE_TRY(const auto loaded, program.load_config(std::nullopt));
  auto policy = config::to_retention(loaded.config.retention);
  if (options.older_than_days) {
    if (*options.older_than_days > kDaysMax) {
      return fail(ErrorCode::invalid_input, fmt::format("--older-than: at most {} days", kDaysMax));
    }
    policy.age_max = std::chrono::hours(24) * static_cast<int64_t>(*options.older_than_days);
  }
  if (!options.larger_than.empty()) {
    auto bytes = config::parse_size(options.larger_than);
    if (!bytes) return fail_in("--larger-than", std::move(bytes.error()));
    policy.bytes_max = *bytes;
  }
  return policy;
}

Json to_json(const memory::ExpiredSession& session) {
  return {{"id", session.id},
          {"title", session.title},
          {"updated", to_rfc3339(session.updated)},
          {"bytes", session.bytes}};
}

}  // namespace

asio::awaitable<int> prune_sessions(const Program& program, memory::Store& store,
                                    const PruneOptions& options) {
  const auto policy = policy_of(program, options);
  if (!policy) co_return program.fail_with(policy.error());
  const bool limited = policy->age_max || policy->bytes_max;
  auto work = options.dry_run ? store.expired(*policy) : store.retain(*policy);
  const auto sessions = co_await std::move(work);
  if (!sessions) co_return program.fail_with(sessions.error());
  memory::Swept swept;
  if (!options.dry_run) {
    const auto done = co_await store.sweep();
    if (!done) co_return program.fail_with(done.error());
    swept = *done;
    const auto shrunk = co_await store.shrink();
    if (!shrunk) co_return program.fail_with(shrunk.error());
  }
  Output out(1);
  if (program.json) {
    Json list = Json::array();
    for (const auto& session : *sessions) list.push_back(to_json(session));
    out.write(dump_json(Json{{"dry_run", options.dry_run},
                             {"sessions", std::move(list)},
                             {"swept", to_json(swept)}}) +
              "\n");
    co_return program.status_once_written(out);
  }
  for (const auto& session : *sessions) {
    out.write(
        fmt::format("{} {:<14} {}  {:>9} bytes  {}\n", options.dry_run ? "would remove" : "removed",
                    session.id, to_rfc3339(session.updated).substr(0, 16), session.bytes,
                    escape_controls(session.title.substr(0, utf8_prefix(session.title, 60)))));
  }
  if (sessions->empty()) {
    out.write(limited ? "no session is beyond the limits\n"
                      : "no limit is set: give --older-than or --larger-than, or set "
                        "retention.days or retention.size\n");
  }
  out.write(text_of(swept));
  co_return program.status_once_written(out);
}

}  // namespace sable::runtime
