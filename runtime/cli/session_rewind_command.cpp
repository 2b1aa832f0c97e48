// `sable session rewind`: back to an earlier moment, conversation and files together.
#include "runtime/cli/session_rewind_command.h"

#include <cstdio>

#include <fmt/format.h>

#include "agent/agent.h"
#include "base/text.h"
#include "runtime/terminal/output.h"

namespace sable::runtime {

asio::awaitable<int> rewind_session(const Program& program, memory::Store& store,
                                    asio::thread_pool& workers, std::string id, memory::Seq to,
                                    bool keep_files) {
  const auto result = co_await agent::rewind_session(store, workers, std::move(id), to, keep_files);
  if (!result) co_return program.fail_with(result.error());
  Output out(1);
  const memory::Seq undo = result->event - 1;
  if (program.json) {
    Json kept = Json::array();
    for (const auto& one : result->files.kept) {
      kept.push_back({{"path", to_utf8(one.path)}, {"reason", one.reason}});
    }
    out.write(dump_json(Json{{"session", result->session},
                             {"to", result->to},
                             {"event", result->event},
                             {"undo", undo},
                             {"n_written", result->files.n_written},
                             {"n_removed", result->files.n_removed},
                             {"kept", std::move(kept)}}) +
              "\n");
    co_return program.status_once_written(out);
  }
  out.write(fmt::format("{} is what it was after event {}", result->session, result->to));
  out.write(result->files_changed ? fmt::format("; {} files written, {} removed\n",
                                                result->files.n_written, result->files.n_removed)
                                  : std::string("; no files were changed\n"));
  for (const auto& one : result->files.kept) {
    out.write(fmt::format("left as it is: {} ({})\n", escape_controls(one.path),
                          escape_controls(one.reason)));
  }
  out.write(fmt::format("undo: sable session rewind {} --to {}\n", result->session, undo));
  co_return program.status_once_written(out);
}

}  // namespace sable::runtime
