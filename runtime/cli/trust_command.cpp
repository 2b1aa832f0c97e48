// `sable trust`: accept a repository's own tools and agents, byte for byte.
#include <cstdio>

#include <fmt/format.h>

#include "base/text.h"
#include "runtime/cli/commands.h"
#include "runtime/config/trust.h"

namespace sable::runtime {

namespace {

struct TrustOptions {
  std::string repository;
  bool revoke = false;
  bool check = false;
};

int print_state(const Program& program, const config::Verdict& verdict) {
  if (program.json) {
    std::printf("%s\n", dump_json(Json{{"state", config::name_of(verdict.state)},
                                       {"added", verdict.added},
                                       {"removed", verdict.removed},
                                       {"modified", verdict.modified}})
                            .c_str());
  } else {
    const auto text = config::to_text(verdict);
    std::printf("%s\n", text.empty() ? "the repository brings no tools or agents" : text.c_str());
  }
  using State = config::Verdict::State;
  return verdict.state == State::trusted || verdict.state == State::empty ? 0 : 1;
}

int trust_action(const Program& program, const TrustOptions& options) {
  const auto repository = resolve_repository(options.repository);
  if (!repository) return program.fail_with(repository.error());
  // Without the repository's own layer: it has no say in what is trusted.
  const auto loaded = program.load_config(std::nullopt);
  if (!loaded) return program.fail_with(loaded.error());
  const config::TrustStore store(*loaded->config.home, system_clock());
  if (options.revoke) {
    const auto revoked = store.revoke(*repository);
    if (!revoked) return program.fail_with(revoked.error());
    std::printf("%s\n", *revoked ? "no longer trusted" : "it was not trusted");
    return 0;
  }
  const auto brought = config::read_brought(*repository);
  if (!brought) return program.fail_with(brought.error());
  if (options.check || brought->files.empty()) {
    const auto verdict = store.check(*brought);
    return verdict ? print_state(program, *verdict) : program.fail_with(verdict.error());
  }
  if (const auto granted = store.grant(*brought); !granted) {
    return program.fail_with(granted.error());
  }
  if (program.json) {
    Json files = Json::array();
    for (const auto& file : brought->files) files.push_back(file.path);
    std::printf("%s\n", dump_json(Json{{"state", "trusted"},
                                       {"digest", brought->digest},
                                       {"files", std::move(files)}})
                            .c_str());
    return 0;
  }
  std::printf("trusted, exactly as they are now (%s):\n", brought->digest.c_str());
  for (const auto& file : brought->files) {
    std::printf("  %s, %zu bytes\n", escape_controls(file.path).c_str(), file.content.size());
  }
  return 0;
}

}  // namespace

void add_trust_command(CLI::App& app, Program& program, Action& chosen) {
  auto* command =
      app.add_subcommand("trust", "Accept a repository's own tools and agents, by content");
  const auto options = std::make_shared<TrustOptions>();
  command->add_option("--repo", options->repository, "The repository (default: here)")
      ->type_name("DIR");
  command->add_flag("--check", options->check,
                    "Only say whether they are trusted, and what changed");
  command->add_flag("--revoke", options->revoke, "Forget all that was accepted for it");
  command->add_flag("--json", program.json, "One JSON object");
  command->callback([options, &chosen] {
    chosen = [options](const Program& running) { return trust_action(running, *options); };
  });
}

}  // namespace sable::runtime
