// `sable sandbox`: one command under a policy by hand, and what a policy means here.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string_view>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/layers.h"
#include "runtime/cli/review_by_hand.h"
#include "runtime/cli/standard_input.h"
#include "runtime/loop.h"
#include "runtime/opt_outs.h"

namespace sable::runtime {

namespace {

constexpr std::string_view kAllow = "allow=";

struct SandboxOptions {
  std::vector<std::string> writable;
  std::optional<std::string> allowed_hosts;  ///< of --network allow=HOST,...
  bool transaction = false;
  Apply apply = Apply::ask;
  std::vector<std::string> command;
};

// "HOST[:PORT][/private],..."; nothing after "allow=" allows nobody.
Result<std::vector<sandbox::AllowedHost>> parse_hosts(std::string_view text) {
  std::vector<sandbox::AllowedHost> hosts;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    auto host = sandbox::parse_allowed_host(text.substr(at, end - at));
    if (!host) return fail_in("--network", host.error());
    hosts.push_back(std::move(*host));
    at = end + 1;
  }
  return hosts;
}

Result<sandbox::Policy> policy_of(const config::LoadedConfig& loaded,
                                  const SandboxOptions& options) {
  auto policy = config::to_policy(loaded, {});
  for (const auto& folder : options.writable) {
    SABLE_TRY(auto root, resolve_repository(folder));
    policy.writable.push_back(std::move(root));
  }
  if (options.transaction) policy.files = sandbox::FileEffects::transaction;
  if (options.allowed_hosts) {
    policy.network = sandbox::Network::allow;
    SABLE_TRY(policy.allowed_hosts, parse_hosts(*options.allowed_hosts));
  }
  return policy;
}

// For the person who wonders why the command failed.
void show_denials(const sandbox::RunResult& result) {
  for (const auto& denial : result.denials) {
    std::fprintf(stderr, "sable: denied: %s\n", escape_controls(denial).c_str());
  }
}

/// What a later program might run, and was not there before.
void show_protected_changes(const sandbox::RunResult& result) {
  for (const auto& path : result.protected_changes) {
    std::fprintf(stderr, "sable: made or replaced what programs outside run or trust: %s\n",
                 escape_controls(path.string()).c_str());
  }
}

/// As timeout(1) has it; a command that the sandbox ended has no status of its own.
constexpr int kTimedOut = 124;
constexpr int kKilled = 128 + SIGKILL;

int status_of(const sandbox::RunResult& result) {
  switch (result.end) {
    case sandbox::End::deadline:
      return kTimedOut;
    case sandbox::End::cancelled:
    case sandbox::End::output_limit:
    case sandbox::End::memory_limit:
    case sandbox::End::disk_limit:
      return kKilled;
    case sandbox::End::exited:
    case sandbox::End::signalled:
      break;
  }
  return result.signal != 0 ? 128 + result.signal : result.exit_code;
}

/// Hands our SIGINT and SIGTERM on to the command. A second one, or the first when the grace is
/// over, kills it.
class SignalRelay {
 public:
  SignalRelay(const asio::any_io_executor& executor, std::chrono::milliseconds grace)
      : grace_(grace), timer_(executor) {}

  const std::shared_ptr<sandbox::CommandHandle>& handle() const { return handle_; }

  void take(int signal) {
    if (killed_by_ != 0) return;
    if (first_ != 0) return kill(signal);
    first_ = signal;
    handle_->signal(signal);
    timer_.expires_after(grace_);
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error) kill(first_);
    });
  }

  /// The command has ended.
  void stop() { timer_.cancel(); }

  /// The signal that killed it after all; 0: none did.
  int killed_by() const { return killed_by_; }

 private:
  void kill(int signal) {
    killed_by_ = signal;
    timer_.cancel();
    handle_->kill();
  }

  const std::chrono::milliseconds grace_;
  asio::steady_timer timer_;
  const std::shared_ptr<sandbox::CommandHandle> handle_ =
      std::make_shared<sandbox::CommandHandle>();
  int first_ = 0, killed_by_ = 0;
};

/// `died_of`: the signal that ended the command, if it was not the sandbox that did.
asio::awaitable<int> run_once(const Program& program, sandbox::Sandbox& sandbox,
                              sandbox::Policy policy, std::vector<std::string> argv,
                              SignalRelay& relay, int& died_of) {
  StandardInput input(co_await asio::this_coro::executor);
  sandbox::Command command{.argv = std::move(argv),
                           .input = [&input] { return input.read(); },
                           .handle = relay.handle()};
  if (policy.writable.empty()) command.working_directory = "/";
  const sandbox::OutputSink pass_through = [](sandbox::Stream stream, std::string_view bytes) {
    (void)write_all(stream == sandbox::Stream::standard_output ? 1 : 2, bytes);
  };
  const auto result = co_await sandbox.run(std::move(policy), std::move(command), pass_through);
  relay.stop();
  if (!result) co_return program.fail_with(result.error());
  show_denials(*result);
  show_protected_changes(*result);
  if (!result->explanation.empty()) {
    std::fprintf(stderr, "sable: %s\n", escape_controls(result->explanation).c_str());
  }
  if (result->end == sandbox::End::signalled) died_of = result->signal;
  if (result->end == sandbox::End::cancelled) died_of = relay.killed_by();
  co_return status_of(*result);
}

bool keeps_apart(const sandbox::Policy& policy) {
  return policy.files == sandbox::FileEffects::transaction && !policy.writable.empty();
}

Result<tools::HeldChanges> begin_apart(const Program& program, const config::LoadedConfig& loaded,
                                       sandbox::Policy& policy) {
  if (program.no_sandbox) {
    return fail(
        ErrorCode::invalid_input,
        "a transaction (--transaction, sandbox.files) keeps changes apart in the sandbox; it "
        "cannot be had with --no-sandbox");
  }
  SABLE_TRY(auto kept, sandbox::KeptApart::begin(place_of_kept_changes(loaded), policy));
  return std::make_unique<sandbox::KeptApart>(std::move(kept));
}

/// Applies or drops what the command changed; the status of a failure, or 0.
asio::awaitable<int> settle(const Program& program, tools::HeldChanges kept_apart, Apply apply,
                            bool succeeded, asio::thread_pool& workers) {
  tools::SettledChanges settled;
  {
    ReviewByHand reviewer(apply, Style{program.colour(2)});
    tools::ProposedChanges proposed{.about = "the command", .succeeded = succeeded};
    auto done = co_await tools::settle_changes(std::move(kept_apart), std::move(proposed),
                                               &reviewer, workers);
    if (!done) co_return program.fail_with(done.error());
    settled = std::move(*done);
  }
  if (settled.refused) co_return program.fail_with({ErrorCode::denied, settled.reason});
  if (settled.proposed.changes.empty()) {
    std::fputs("sable: nothing was changed\n", stderr);
  } else if (settled.applied) {
    std::fputs("sable: applied\n", stderr);
  } else {
    std::fprintf(stderr, "sable: dropped; nothing was changed (%s)\n", settled.reason.c_str());
  }
  co_return 0;
}

int run_action(const Program& program, const SandboxOptions& options) {
  const auto loaded = program.load_config(std::nullopt);
  if (!loaded) return program.fail_with(loaded.error());
  auto policy = policy_of(*loaded, options);
  if (!policy) return program.fail_with(policy.error());
  warn_of(opt_outs(*loaded, *policy));
  tools::HeldChanges kept_apart;
  if (options.apply != Apply::ask && !options.transaction && !keeps_apart(*policy)) {
    return program.fail_with({ErrorCode::invalid_input,
                              "--apply is for changes that are kept apart: --transaction, or a "
                              "profile with files: transaction"});
  }
  if (options.transaction || keeps_apart(*policy)) {
    auto begun = begin_apart(program, *loaded, *policy);
    if (!begun) return program.fail_with(begun.error());
    kept_apart = std::move(*begun);
  }
  auto sandbox = program.start_sandbox();
  if (!sandbox) return program.fail_with(sandbox.error());
  Loop loop;
  int died_of = 0;
  SignalRelay relay(loop.executor(), policy->limits.grace);
  loop.take_signals([&relay](int signal) { relay.take(signal); });
  const int status =
      loop.run(run_once(program, **sandbox, std::move(*policy), options.command, relay, died_of));
  if (kept_apart && relay.killed_by() == 0) {
    Loop asking;  // whose signals are its own
    const int settled = asking.run(
        settle(program, std::move(kept_apart), options.apply, status == 0, asking.workers()));
    if (settled != 0) return settled;
    if (const auto signal = asking.stop_signal()) return 128 + *signal;
  }
  kept_apart.reset();
  // What the command died of: so do we, so that a shell sees the same.
  if (died_of != 0) {
    sandbox->reset();  // no call outlives us
    ::signal(died_of, SIG_DFL);
    ::raise(died_of);
  }
  return status;
}

int explain_action(const Program& program, const SandboxOptions& options) {
  const auto loaded = program.load_config(std::nullopt);
  if (!loaded) return program.fail_with(loaded.error());
  auto policy = policy_of(*loaded, options);
  if (!policy) return program.fail_with(policy.error());
  const auto layers = sandbox::probe_layers();
  if (program.json) {
    auto json = parse_json(sandbox::to_json_text(*policy));
    if (!json) return program.fail_with(json.error());
    std::printf("%s\n",
                dump_json(Json{{"policy", *json}, {"layers", layers_to_json(layers)}}).c_str());
  } else {
    std::fputs(sandbox::explain(*policy, layers).c_str(), stdout);
  }
  return 0;
}

}  // namespace

void add_sandbox_commands(CLI::App& app, Program& program, Action& chosen) {
  auto* group = app.add_subcommand("sandbox", "Run one command in the sandbox, or explain it");
  group->require_subcommand(1);
  const auto options = std::make_shared<SandboxOptions>();
  const auto add_common = [&](CLI::App& command) {
    command.add_option("--profile", program.profile, "A named policy")->type_name("NAME");
    command
        .add_option("--writable", options->writable,
                    "A folder that may be written; may be repeated")
        ->allow_extra_args(false)
        ->type_name("DIR");
    command
        .add_option_function<std::string>(
            "--network",
            [options, &program](const std::string& mode) {
              if (mode.compare(0, kAllow.size(), kAllow) == 0) {
                options->allowed_hosts = mode.substr(kAllow.size());
              } else {
                program.flags.push_back({"--network", "sandbox.network", mode});
              }
            },
            "none, loopback, open, or allow=HOST[:PORT][/private],...: these through a proxy")
        ->type_name("MODE");
    add_setting(command, program, "--timeout", "sandbox.timeout",
                "Seconds until the command is ended", "s")
        ->type_name("S");
    add_setting(command, program, "--memory", "sandbox.memory",
                "Bytes for all its processes; K, M, G")
        ->type_name("BYTES");
  };

  auto* run = group->add_subcommand("run", "Run one command; its status and signals pass through");
  add_common(*run);
  add_no_sandbox(*run, program);
  run->add_flag("--transaction", options->transaction,
                "Keep what it changes apart, show it, then apply or drop it as a whole");
  add_apply(*run, options->apply);
  run->add_option("command", options->command, "The command and its arguments, after --")
      ->required();
  run->callback([options, &chosen] {
    chosen = [options](const Program& running) { return run_action(running, *options); };
  });

  auto* explain =
      group->add_subcommand("explain", "What may be touched, and which layer enforces it here");
  add_common(*explain);
  explain->add_flag("--json", program.json, "One JSON object");
  explain->callback([options, &chosen] {
    chosen = [options](const Program& running) { return explain_action(running, *options); };
  });
}

}  // namespace sable::runtime
