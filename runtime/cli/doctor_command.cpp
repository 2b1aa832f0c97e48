// `sable doctor`: what this machine offers and what is broken.
#include <cstdio>
#include <unistd.h>

#include <fmt/format.h>

#include "base/text.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/layers.h"
#include "runtime/cli/swept.h"

namespace sable::runtime {

namespace {

/// One thing that is right or wrong, with what to do.
struct Finding {
  std::string name;
  bool ok = true;
  std::string detail;
};

Finding check_config(const Result<config::LoadedConfig>& loaded) {
  if (!loaded) return {"configuration", false, loaded.error().message};
  size_t n_found = 0;
  for (const auto& file : loaded->files) n_found += file.found ? 1 : 0;
  return {"configuration", true, fmt::format("{} files read", n_found)};
}

Finding check_store(const config::LoadedConfig& loaded) {
  const auto& home = *loaded.config.home;
  if (!std::filesystem::exists(home)) return {"store", true, home + " (not made yet)"};
  const auto report = memory::check(home);
  if (!report) return {"store", false, report.error().message};
  if (!report->problems.empty()) {
    const auto& problem = report->problems.front();
    const bool says_what_to_do = problem.find("--repair") != std::string::npos;
    return {"store", false,
            says_what_to_do ? problem : problem + "; sable doctor --repair salvages it"};
  }
  return {"store", true,
          fmt::format("{}: {} sessions, {} events, all sound", home, report->n_sessions,
                      report->n_events)};
}

Finding check_model(const Program& program, const config::LoadedConfig& loaded) {
  const auto choice = config::choose_model(loaded);
  if (!choice) return {"model", false, choice.error().message};
  if (!choice->path.empty()) {
    const auto model = inference::Checkpoint::open(choice->path);
    if (!model) return {"model", false, model.error().message};
    return {"model", true, choice->path.string()};
  }
  if (choice->provider == nullptr) {
    return {"model", false,
            "no model is configured; name an endpoint with --base-url and --model, or in the "
            "configuration under providers"};
  }
  const auto& variable = *choice->provider->api_key_env;
  if (!variable.empty() && program.variable(variable).empty()) {
    return {"model", false, fmt::format("{}: the variable {} is not set", choice->name, variable)};
  }
  return {"model", true,
          fmt::format("{}: {} at {}", choice->name, *choice->provider->model,
                      *choice->provider->base_url)};
}

Finding check_program(const Program& program, const std::string& name) {
  const auto path = program.variable("PATH");
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const auto file = std::filesystem::path(path.substr(begin, end - begin)) / name;
    if (::access(file.c_str(), X_OK) == 0) return {name, true, file.string()};
    begin = end + 1;
  }
  return {name, false, "not found in PATH; apt-get install ripgrep"};
}

int doctor_action(const Program& program) {
  const auto layers = sandbox::probe_layers();
  const auto loaded = program.load_config(std::nullopt);
  std::vector<Finding> findings{check_config(loaded)};
  if (loaded) {
    findings.push_back(check_store(*loaded));
    findings.push_back(check_model(program, *loaded));
  }
  findings.push_back(check_program(program, "rg"));

  bool ok = all_required_enforced(layers);
  for (const auto& finding : findings) ok = ok && finding.ok;
  if (program.json) {
    Json list = Json::array();
    for (const auto& finding : findings) {
      list.push_back({{"name", finding.name}, {"ok", finding.ok}, {"detail", finding.detail}});
    }
    std::printf("%s\n", dump_json(Json{{"ok", ok},
                                       {"layers", layers_to_json(layers)},
                                       {"findings", std::move(list)}})
                            .c_str());
    return ok ? 0 : 1;
  }
  const Style style{program.colour(1)};
  std::printf("sandbox\n%s\nprogram\n", layers_to_text(layers, style).c_str());
  for (const auto& finding : findings) {
    std::printf("  %-14s %s  %s\n", finding.name.c_str(),
                (finding.ok ? style.green("ok   ") : style.red("wrong")).c_str(),
                escape_controls(finding.detail).c_str());
  }
  return ok ? 0 : 1;
}

int repair_action(const Program& program) {
  const auto loaded = program.load_config(std::nullopt);
  if (!loaded) return program.fail_with(loaded.error());
  const auto report = memory::repair(*loaded->config.home);
  if (!report) return program.fail_with(report.error());
  if (program.json) {
    Json sessions = Json::array();
    for (const auto& session : report->sessions) {
      sessions.push_back(
          {{"id", session.id}, {"n_kept", session.n_kept}, {"n_lost", session.n_lost}});
    }
    std::printf("%s\n", dump_json(Json{{"was_sound", report->was_sound},
                                       {"moved_to", report->moved_to.string()},
                                       {"rebuilt", report->rebuilt},
                                       {"n_events", report->n_events},
                                       {"n_blobs_lost", report->n_blobs_lost},
                                       {"n_objects_lost", report->n_objects_lost},
                                       {"n_heads_restored", report->n_heads_restored},
                                       {"n_heads_lost", report->n_heads_lost},
                                       {"swept", to_json(report->swept)},
                                       {"sessions", std::move(sessions)},
                                       {"problems", report->problems}})
                            .c_str());
    return 0;
  }
  std::fputs(text_of(report->swept).c_str(), stdout);
  if (report->was_sound) {
    std::printf("the store in %s is sound; nothing had to be repaired\n",
                loaded->config.home->c_str());
    return 0;
  }
  for (const auto& problem : report->problems) {
    std::printf("found: %s\n", escape_controls(problem).c_str());
  }
  for (const auto& session : report->sessions) {
    if (session.n_lost > 0) {
      std::printf("session %s: %lu events kept, at least %lu lost\n", session.id.c_str(),
                  static_cast<unsigned long>(session.n_kept),
                  static_cast<unsigned long>(session.n_lost));
    }
  }
  if (report->n_blobs_lost > 0) {
    std::printf("%lu kept outputs are lost; their sessions say so\n",
                static_cast<unsigned long>(report->n_blobs_lost));
  }
  if (report->n_objects_lost > 0) {
    std::printf("%lu objects of file checkpoints are lost; a rewind that needs one is refused\n",
                static_cast<unsigned long>(report->n_objects_lost));
  }
  if (report->n_heads_restored > 0) {
    std::printf("the newest file checkpoint of %lu sessions is known again, from the log\n",
                static_cast<unsigned long>(report->n_heads_restored));
  }
  if (report->n_heads_lost > 0) {
    std::printf("the newest file checkpoint of %lu sessions is not known; the next begins anew\n",
                static_cast<unsigned long>(report->n_heads_lost));
  }
  std::printf("%lu events kept%s; the damaged files are in %s\n",
              static_cast<unsigned long>(report->n_events),
              report->rebuilt ? "" : ", the database was sound", report->moved_to.c_str());
  return 0;
}

}  // namespace

void add_doctor_command(CLI::App& app, Program& program, Action& chosen) {
  auto* command = app.add_subcommand("doctor", "What this machine offers and what is broken");
  const auto repair = std::make_shared<bool>(false);
  command->add_flag(
      "--repair", *repair,
      "Salvage a damaged store: keep each session's longest sound beginning, move the rest aside");
  command->add_flag("--json", program.json, "One JSON object");
  command->callback([repair, &chosen] {
    chosen = [repair](const Program& running) {
      return *repair ? repair_action(running) : doctor_action(running);
    };
  });
}

}  // namespace sable::runtime
