// `sable model info`: what a model is, and whether its weights are sound.
#include <algorithm>
#include <cstdio>
#include <thread>

#include <fmt/format.h>

#include "base/text.h"
#include "runtime/cli/model_command.h"
#include "runtime/cli/model_command_interrupt.h"
#include "runtime/cli/model_command_progress.h"
#include "runtime/session_parts.h"

namespace sable::runtime {

namespace {

Result<inference::VerifyReport> read_all(const inference::Checkpoint& model, std::stop_token stop) {
  ProgressLine line("reading weights");
  return inference::verify(
      model, {.n_threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency())),
              .progress = [&line](const auto& p) { line.show(p.done_bytes, p.total_bytes); },
              .stop = std::move(stop)});
}

}  // namespace

int model_info_action(const Program& program, const ModelOptions& options) {
  const auto model = inference::Checkpoint::open(options.path);
  if (!model) return program.fail_with(model.error());
  const auto info = inference::model_info(**model);
  const auto resident = (*model)->resident_bytes();
  if (!resident) return program.fail_with(resident.error());

  auto own = built_in_prompt_texts();
  if (!own) return program.fail_with(own.error());
  const auto texts = agent::load_prompt_texts(options.path, std::move(*own));
  if (!texts) return program.fail_with(texts.error());

  std::optional<inference::VerifyReport> report;
  if (options.verify) {
    const Interrupt interrupt;
    auto verified = read_all(**model, interrupt.token());
    if (!verified) return program.fail_with(verified.error(), interrupt.status_or(1));
    report = std::move(*verified);
  }
  if (program.json) {
    Json json = inference::to_json(info);
    json["resident_bytes"] = *resident;
    json["prompt_texts"] = texts->source;
    if (report) json["verify"] = inference::to_json(*report);
    std::printf("%s\n", dump_json(json).c_str());
  } else {
    std::fputs(inference::to_text(info).c_str(), stdout);
    std::printf("\n%.1f %% of the files are in memory\n",
                100.0 * static_cast<double>(*resident) /
                    static_cast<double>(std::max<uint64_t>(1, info.file_bytes)));
    std::printf("texts of prompts: %s\n", escape_controls(texts->source).c_str());
    if (report) std::fputs(inference::to_text(*report).c_str(), stdout);
  }
  return report && !report->ok() ? 1 : 0;
}

}  // namespace sable::runtime
