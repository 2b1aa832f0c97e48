#include "memory/session_list.h"

#include <map>

#include <fmt/format.h>

#include "memory/session_id.h"
#include "memory/session_lock.h"

namespace sable::memory {

namespace {

SessionInfo info_of(SessionRow row, std::optional<int> owner) {
  SessionView& view = row.view;
  // A turn that nobody is working on any more was cut off with its process.
  if (view.status == "running" && !owner) view.status = "interrupted";
  return {.id = std::move(row.id),
          .title = std::move(view.title),
          .working_directory = std::move(view.working_directory),
          .agent = std::move(view.agent),
          .model = std::move(view.model),
          .status = std::move(view.status),
          .created = WallTime(std::chrono::milliseconds(view.created_ms)),
          .updated = WallTime(std::chrono::milliseconds(view.updated_ms)),
          .n_events = view.n_events,
          .input_tokens = view.input_tokens,
          .output_tokens = view.output_tokens,
          .owner_pid = owner,
          .parent = std::move(view.parent),
          .parent_seq = view.parent_seq};
}

}  // namespace

Result<std::vector<SessionInfo>> list_sessions(LogDatabase& database, const Home& home,
                                               size_t n_max) {
  SABLE_TRY(auto rows, database.newest_sessions(n_max));
  std::map<std::string, int> owners;
  for (auto& session : sessions_with_lock_file(home.locks())) {
    if (const auto pid = live_owner(home.locks(), session)) owners[session] = *pid;
  }
  std::vector<SessionInfo> infos;
  infos.reserve(rows.size());
  for (auto& row : rows) {
    const auto owner = owners.find(row.id);
    infos.push_back(info_of(std::move(row),
                            owner == owners.end() ? std::nullopt : std::optional(owner->second)));
  }
  return infos;
}

Result<SessionInfo> find_session(LogDatabase& database, const Home& home, const std::string& id) {
  if (!may_be_session_id(id)) {
    return fail(ErrorCode::not_found, "no such session: a session's id looks like s_03cg8w1a7k");
  }
  auto row = database.session(id);
  if (!row && row.error().code == ErrorCode::not_found) {
    SABLE_TRY(const auto ids, database.ids_beginning(id, 2));
    if (ids.size() > 1) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("several sessions begin with {}: {}, {} and perhaps more", id, ids[0],
                              ids[1]));
    }
    if (ids.size() == 1) row = database.session(ids.front());
  }
  if (!row) return fail(row.error());
  const auto owner = live_owner(home.locks(), row->id);
  return info_of(std::move(*row), owner);
}

}  // namespace sable::memory
