// `sable serve`: front ends over a WebSocket.
#include <cstdio>

#include <fmt/format.h>

#include "base/task_group.h"
#include "runtime/agent_session_host.h"
#include "runtime/cli/commands.h"
#include "runtime/loop.h"
#include "runtime/opt_outs.h"
#include "runtime/retention_beside.h"
#include "runtime/server/token_file.h"
#include "runtime/server/websocket_server.h"

namespace sable::runtime {

namespace {

struct ServeOptions {
  std::string token_file;
};

Result<ServerOptions> server_options(const config::LoadedConfig& loaded,
                                     const std::filesystem::path& token_file) {
  ServerOptions options;
  const auto& server = loaded.config.server;
  auto listen = parse_listen_address(*server.listen);
  if (!listen) return fail_in(server.listen.origin.text(), std::move(listen.error()));
  options.listen = std::move(*listen);
  SABLE_TRY(options.access.token, load_or_create_token(token_file));
  for (const auto& host : server.allowed_hosts.items) options.access.allowed_hosts.push_back(*host);
  for (const auto& origin : server.allowed_origins.items) {
    options.access.allowed_origins.push_back(*origin);
  }
  options.acp.program_version = kVersion;
  return options;
}

asio::awaitable<int> serve(const Program& program, Loop& loop, ServerOptions options,
                           std::string token_file, agent::Services services,
                           const config::Config& settings) {
  Models models(services.store.home(), services.log, *settings.cache.size);
  AgentSessionHost host(program, models, services, loop.executor());
  LiveSessions sessions(host, loop.executor(), {}, services.log);
  const auto server =
      WebSocketServer::listen(loop.executor(), std::move(options), sessions, services.log);
  int status = 0;
  TaskGroup stopping(loop.executor());
  RetentionBeside retention(loop.executor(), services.store, settings.retention, services.log);
  if (server) {
    const auto& address = (*server)->bound_address();
    if (program.json) {
      std::printf("%s\n",
                  dump_json(Json{{"listening", address}, {"token_file", token_file}}).c_str());
    } else {
      std::printf("listening on ws://%s/acp, token in %s\n", address.c_str(), token_file.c_str());
    }
    std::fflush(stdout);
    loop.on_stop([&](int) {
      (*server)->stop();
      stopping.spawn(sessions.stop("the server is stopping"));
    });
    co_await (*server)->run();
    loop.on_stop({});
  } else {
    status = program.fail_with(server.error());
  }
  co_await retention.stop();
  co_await stopping.join();
  co_await sessions.stop("the server is stopping");
  co_await host.close();
  co_return loop.stop_signal() ? 128 + *loop.stop_signal() : status;
}

int serve_action(const Program& program, const ServeOptions& given) {
  const auto loaded = program.load_config(std::nullopt);
  if (!loaded) return program.fail_with(loaded.error());
  warn_of(opt_outs(*loaded, config::to_policy(*loaded, {})));
  auto sandbox = program.start_sandbox();
  if (!sandbox) return program.fail_with(sandbox.error());
  const auto log = Log::to_stderr(*loaded->config.log_level);
  auto store = memory::Store::open(*loaded->config.home, {.log = log});
  if (!store) return program.fail_with(store.error());
  const std::string token_file =
      given.token_file.empty() ? (std::filesystem::path(*loaded->config.home) / "token").string()
                               : given.token_file;
  auto options = server_options(*loaded, token_file);
  if (!options) return program.fail_with(options.error());
  Loop loop;
  const agent::Services services{.store = **store,
                                 .sandbox = **sandbox,
                                 .workers = loop.workers(),
                                 .clock = system_clock(),
                                 .log = log};
  return loop.run(serve(program, loop, std::move(*options), token_file, services, loaded->config));
}

}  // namespace

void add_serve_command(CLI::App& app, Program& program, Action& chosen) {
  auto* command =
      app.add_subcommand("serve", "Front ends over a WebSocket at /acp (docs/protocol.md)");
  const auto options = std::make_shared<ServeOptions>();
  add_setting(*command, program, "--listen", "server.listen",
              "Where to listen; port 0 takes a free one")
      ->type_name("ADDR:PORT");
  command
      ->add_option("--token-file", options->token_file,
                   "The secret that front ends show; made if it is missing (default: in the home)")
      ->type_name("FILE");
  add_model_settings(*command, program);
  add_setting(*command, program, "--agent", "agent", "The agent's configuration")
      ->type_name("NAME");
  add_setting(*command, program, "--approve", "approve",
              "Who decides about tools that ask: ask, all or none")
      ->type_name("MODE");
  add_setting(*command, program, "--network", "sandbox.network",
              "Whom tools may talk to: none, loopback, allow (sandbox.allowed_hosts) or open")
      ->type_name("MODE");
  add_no_sandbox(*command, program);
  command->add_flag("--json", program.json, "The bound address as one JSON object");
  command->callback([options, &chosen] {
    chosen = [options](const Program& running) { return serve_action(running, *options); };
  });
}

}  // namespace sable::runtime
