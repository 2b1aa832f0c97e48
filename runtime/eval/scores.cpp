#include "runtime/eval/scores.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "evaluation/evaluation.h"

namespace sable::runtime {

namespace {

double seconds(std::chrono::milliseconds wall) {
  return std::chrono::duration<double>(wall).count();
}

double share(uint64_t part, size_t n) {
  return n == 0 ? 0 : static_cast<double>(part) / static_cast<double>(n);
}

double rounded(double value) { return std::round(value * 1e4) / 1e4; }

}  // namespace

Json to_json(const TaskReport& report) {
  const TrialEnd& end = report.end;
  return {{"task", report.name},
          {"family", report.family},
          {"repository", report.repository},
          {"instruction", report.instruction},
          {"passed", report.passed},
          {"why", report.why},
          {"status", end.turn.status},
          {"reason", end.turn.reason},
          {"answer", end.turn.text},
          {"files_changed", end.turn.files_changed},
          {"steps", end.n_steps},
          {"tool_calls", end.n_tool_calls},
          {"malformed_calls", end.n_malformed_calls},
          {"input_tokens", end.turn.usage.input_tokens},
          {"output_tokens", end.turn.usage.output_tokens},
          {"seconds", seconds(end.turn.wall)},
          {"session", end.session}};
}

void Scores::Sum::add(const TaskReport& report) {
  ++n;
  n_passed += report.passed ? 1 : 0;
  n_steps += static_cast<uint64_t>(report.end.n_steps);
  n_tool_calls += static_cast<uint64_t>(report.end.n_tool_calls);
  n_malformed_calls += static_cast<uint64_t>(report.end.n_malformed_calls);
  input_tokens += report.end.turn.usage.input_tokens;
  output_tokens += report.end.turn.usage.output_tokens;
  wall += report.end.turn.wall;
}

Json Scores::Sum::to_json() const {
  const auto interval = evaluation::wilson_interval(n_passed, n);
  return {{"family", family},
          {"n", n},
          {"passed", n_passed},
          {"share", rounded(share(n_passed, n))},
          {"low", rounded(interval.low)},
          {"high", rounded(interval.high)},
          {"steps", n_steps},
          {"tool_calls", n_tool_calls},
          {"malformed_calls", n_malformed_calls},
          {"input_tokens", input_tokens},
          {"output_tokens", output_tokens},
          {"seconds", seconds(wall)}};
}

void Scores::add(const TaskReport& report) {
  auto sum = std::find_if(families_.begin(), families_.end(),
                          [&](const Sum& s) { return s.family == report.family; });
  if (sum == families_.end()) sum = families_.insert(sum, Sum{.family = report.family});
  sum->add(report);
  ++repositories_[report.repository];
  all_.add(report);
}

size_t Scores::n_on(const std::string& repository) const {
  const auto it = repositories_.find(repository);
  return it == repositories_.end() ? 0 : it->second;
}

std::string Scores::to_text(const Style& style) const {
  std::vector<const Sum*> sums;
  for (const Sum& sum : families_) sums.push_back(&sum);
  if (sums.size() > 1) sums.push_back(&all_);
  size_t width = 6;
  for (const Sum* sum : sums) width = std::max(width, sum->family.size());
  std::string text =
      style.bold(fmt::format("{:<{}}  {:>9} {:>6}  {:>13}  {:>5} {:>7} {:>6} {:>7} {:>9}", "family",
                             width, "passed", "", "95 % interval", "steps", "read", "wrote",
                             "seconds", "malformed")) +
      "\n";
  for (const Sum* sum : sums) {
    const auto interval = evaluation::wilson_interval(sum->n_passed, sum->n);
    text +=
        fmt::format("{:<{}}  {:>9} {:>4.0f} %  {:>13}  {:>5.1f} {:>7.0f} {:>6.0f} {:>7.1f} {:>9}\n",
                    sum->family, width, fmt::format("{}/{}", sum->n_passed, sum->n),
                    100 * share(sum->n_passed, sum->n),
                    fmt::format("{:.0f} to {:.0f} %", 100 * interval.low, 100 * interval.high),
                    share(sum->n_steps, sum->n), share(sum->input_tokens, sum->n),
                    share(sum->output_tokens, sum->n),
                    seconds(sum->wall) / static_cast<double>(std::max<size_t>(sum->n, 1)),
                    sum->n_malformed_calls);
  }
  return text;
}

Json Scores::to_json() const {
  Json families = Json::array();
  for (const Sum& sum : families_) families.push_back(sum.to_json());
  return {{"families", std::move(families)}, {"all", all_.to_json()}};
}

}  // namespace sable::runtime
