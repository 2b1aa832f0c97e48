// `sable model convert`: a checkpoint written again in another container or other types.
#include <algorithm>
#include <array>
#include <cstdio>

#include <fmt/format.h>

#include "base/text.h"
#include "runtime/cli/model_command.h"
#include "runtime/cli/model_command_interrupt.h"
#include "runtime/cli/model_command_progress.h"

namespace sable::runtime {

namespace {

using inference::DType;

constexpr std::array kWritable{DType::f32,   DType::f16,     DType::bf16,
                               DType::q8_0,  DType::q4_k,    DType::q2_k,
                               DType::mxfp4, DType::f8_e4m3, DType::f4_e2m1};

/// A type by its name; `otherwise` when there is none.
Result<DType> type_named(const char* flag, const std::string& name, DType otherwise) {
  if (name.empty()) return otherwise;
  std::string names;
  for (const DType type : kWritable) {
    const auto candidate = inference::name_of(type);
    if (std::ranges::equal(
            candidate, name, {}, [](unsigned char c) { return std::toupper(c); },
            [](unsigned char c) { return std::toupper(c); })) {
      return type;
    }
    names += (names.empty() ? "" : ", ") + std::string(candidate);
  }
  return fail(
      ErrorCode::invalid_input,
      fmt::format("{}: \"{}\" is not a type that can be written; there are {}", flag, name, names));
}

Result<inference::ConvertOptions> plan(const ModelOptions& options) {
  const bool gguf = options.to == "gguf";
  SABLE_TRY(const DType dense,
            type_named("--dense", options.dense, gguf ? DType::q8_0 : DType::f8_e4m3));
  SABLE_TRY(const DType experts,
            type_named("--experts", options.experts, gguf ? DType::mxfp4 : DType::f4_e2m1));
  return inference::ConvertOptions{
      .to = gguf ? inference::Container::gguf : inference::Container::safetensors,
      .dense = dense,
      .experts = experts};
}

}  // namespace

int model_convert_action(const Program& program, const ModelOptions& options) {
  auto settings = plan(options);
  if (!settings) return program.fail_with(settings.error(), 2);
  const Interrupt interrupt;
  const auto model = inference::Checkpoint::open(options.path);
  if (!model) return program.fail_with(model.error());
  ProgressLine line("converting");
  settings->progress = [&line](const auto& p) { line.show(p.done_bytes, p.total_bytes); };
  settings->stop = interrupt.token();
  const auto report = inference::convert(**model, options.output, *settings);
  line.clear();
  if (!report) return program.fail_with(report.error(), interrupt.status_or(1));

  if (program.json) {
    Json files = Json::array();
    for (const auto& file : report->files) files.push_back(file.string());
    const Json json{
        {"files", std::move(files)}, {"bytes", report->bytes}, {"notes", report->notes}};
    std::printf("%s\n", dump_json(json).c_str());
    return 0;
  }
  for (const auto& note : report->notes) {
    std::fprintf(stderr, "sable: %s\n", escape_controls(note).c_str());
  }
  for (const auto& file : report->files) {
    std::printf("%s\n", escape_controls(file.string()).c_str());
  }
  return 0;
}

}  // namespace sable::runtime
