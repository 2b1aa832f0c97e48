#include "evaluation/made_task.h"

#include <algorithm>

#include <fmt/format.h>

namespace sable::evaluation {

namespace {

constexpr std::string_view kFamilies[] = {"find", "rename", "set", "add",
                                          "fix",  "report", "run", "refuse"};
constexpr uint64_t kAttemptsMax = 600, kAttemptsOfKind = 50;

/// One of the family's kinds, each as likely as its share.
const TaskKind* kind_of(std::string_view family, Random& random) {
  double total = 0;
  for (const TaskKind& kind : task_kinds()) total += kind.family == family ? kind.share : 0;
  double place = random.unit() * total;
  const TaskKind* last = nullptr;
  for (const TaskKind& kind : task_kinds()) {
    if (kind.family != family) continue;
    last = &kind;
    place -= kind.share;
    if (place < 0) break;
  }
  return last;
}

/// A compiled program, or what Python keeps of a module.
bool is_left_over(const std::string& path, const std::string& content) {
  return content.find('\0') != std::string::npos || path.find("__pycache__/") != std::string::npos;
}

Result<MadeTask> task_of(Play play, const Workbench& bench) {
  MadeTask task{.instruction = play.messages.front().content,
                .repository = play.repository.name,
                .before = play.repository.contents(),
                .truth = std::move(play.truth)};
  SABLE_TRY(Files after, read_files(bench.folder()));
  for (auto& [path, content] : after) {
    if (is_left_over(path, content) && !task.before.contains(path)) {
      task.truth.left_over.insert(path);
    } else {
      task.truth.files[path] = std::move(content);
    }
  }
  return task;
}

}  // namespace

std::span<const std::string_view> families() { return kFamilies; }

bool takes_real_code(std::string_view family) {
  return family != "fix" && family != "run" && family != "refuse";
}

Result<MadeTask> make_task(std::string_view family, uint64_t seed, size_t number,
                           const World& world, Workbench& bench) {
  const uint64_t origin = mix(mix(seed, hash_of(family)), number);
  Random choice(origin);
  const TaskKind* kind = kind_of(family, choice);
  if (kind == nullptr) {
    return fail(ErrorCode::invalid_input,
                fmt::format("there is no family of tasks \"{}\"", family));
  }
  for (uint64_t attempt = 1; attempt <= kAttemptsMax; ++attempt) {
    if (attempt % kAttemptsOfKind == 0) kind = kind_of(family, choice);  // there may be none of it
    Random random(mix(origin, attempt));
    Stage stage(bench, world, random);
    if (!kind->script(stage) || !stage.good()) continue;
    SABLE_TRY(MadeTask task, task_of(stage.take(), bench));
    task.name = fmt::format("{}-{}", family, number + 1);
    task.family = family;
    return task;
  }
  return fail(ErrorCode::exhausted,
              fmt::format("no task of the family {} could be played here; its teacher needs a "
                          "sandbox (sable doctor), ripgrep, Python, make and compilers, and code "
                          "that has something to ask for",
                          family));
}

}  // namespace sable::evaluation
