// `sable config`: where each setting comes from.
#include <cstdio>

#include "runtime/cli/commands.h"

namespace sable::runtime {

namespace {

int show_action(const Program& program, const std::string& repository_text) {
  const auto repository = resolve_repository(repository_text);
  if (!repository) return program.fail_with(repository.error());
  const auto loaded = program.load_config(*repository);
  if (!loaded) return program.fail_with(loaded.error());
  const auto text =
      program.json ? dump_json(config::to_json(*loaded)) + "\n" : config::to_text(*loaded);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace

void add_config_commands(CLI::App& app, Program& program, Action& chosen) {
  auto* group = app.add_subcommand("config", "The configuration");
  group->require_subcommand(1);
  const auto repository = std::make_shared<std::string>();
  auto* show = group->add_subcommand("show", "Every setting with its value and who set it");
  show->add_option("--repo", *repository, "With this repository's narrowing layer (default: here)")
      ->type_name("DIR");
  show->add_flag("--json", program.json, "One JSON object");
  show->callback([repository, &chosen] {
    chosen = [repository](const Program& running) { return show_action(running, *repository); };
  });
}

}  // namespace sable::runtime
