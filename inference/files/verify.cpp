#include "inference/files/verify.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "base/text.h"
#include "inference/files/number_formats.h"

namespace sable::inference {

namespace {

bool integer(DType type) { return type == DType::i64 || type == DType::i32; }

void scan(const Tensor& tensor, TensorCheck& check, std::stop_token stop) {
  const uint64_t rows = tensor.shape.size() < 2 ? 1 : tensor.rows(),
                 cols = tensor.n_elements() / std::max<uint64_t>(rows, 1);
  std::vector<float> row(cols);
  bool any = false;
  for (uint64_t r = 0; r < rows && !stop.stop_requested(); ++r) {
    dequantize_row(tensor, r, row);
    for (const float x : row) {
      if (std::isnan(x)) {
        ++check.n_nan;
      } else if (std::isinf(x)) {
        ++check.n_infinite;
      } else {
        check.min = any ? std::min(check.min, x) : x;
        check.max = any ? std::max(check.max, x) : x;
        any = true;
      }
    }
  }
}

/// The first token that a table sends to one expert twice; an empty sentence when there is none.
std::string repeated_expert(const Tensor& table) {
  const uint64_t k = table.cols();
  std::vector<int64_t> experts(k);
  for (uint64_t token = 0; token < table.rows(); ++token) {
    for (uint64_t i = 0; i < k; ++i) {
      const uint64_t at = token * k + i;
      experts[i] = table.type == DType::i64 ? load_le<int64_t>(table.bytes.data() + 8 * at)
                                            : load_le<int32_t>(table.bytes.data() + 4 * at);
    }
    std::sort(experts.begin(), experts.end());
    if (std::adjacent_find(experts.begin(), experts.end()) != experts.end()) {
      return fmt::format("token {} is routed to the same expert twice", token);
    }
  }
  return {};
}

std::string problem_of(const Tensor& tensor, const TensorCheck& check) {
  if (check.n_nan != 0) return fmt::format("{} values are NaN", check.n_nan);
  if (check.n_infinite != 0) return fmt::format("{} values are infinite", check.n_infinite);
  if (integer(tensor.type)) return repeated_expert(tensor);
  if (tensor.shape.size() >= 2 && check.min == 0 && check.max == 0) return "all values are zero";
  return {};
}

TensorCheck check_one(const Tensor& tensor, std::stop_token stop) {
  TensorCheck check{tensor.name, tensor.type, tensor.shape, {}};
  Sha256 hash;
  for (const std::span<const std::byte> part : {tensor.bytes, tensor.scales}) {
    hash.update(std::span(reinterpret_cast<const uint8_t*>(part.data()), part.size()));
  }
  check.sha256 = hash.finish();
  scan(tensor, check, stop);
  if (!stop.stop_requested()) check.problem = problem_of(tensor, check);
  return check;
}

Digest digest_of(const std::vector<TensorCheck>& checks) {
  std::vector<const TensorCheck*> sorted;
  for (const TensorCheck& check : checks) sorted.push_back(&check);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
  Sha256 hash;
  for (const TensorCheck* check : sorted) {
    hash.update(fmt::format("{} {} {} {}\n", check->name, name_of(check->type),
                            fmt::join(check->shape, "x"), to_hex(check->sha256)));
  }
  return hash.finish();
}

}  // namespace

bool VerifyReport::ok() const {
  return std::all_of(tensors.begin(), tensors.end(),
                     [](const TensorCheck& check) { return check.problem.empty(); });
}

Result<VerifyReport> verify(const Checkpoint& model, const VerifyOptions& options) {
  const std::vector<Tensor>& tensors = model.tensors();
  VerifyReport report;
  report.tensors.resize(tensors.size());
  Progress progress;
  for (const Tensor& tensor : tensors)
    progress.total_bytes += tensor.bytes.size() + tensor.scales.size();
  report.bytes = progress.total_bytes;
  std::atomic<size_t> next{0};
  std::mutex mutex;
  const auto work = [&] {
    for (size_t i = next++; i < tensors.size() && !options.stop.stop_requested(); i = next++) {
      report.tensors[i] = check_one(tensors[i], options.stop);
      model.release(tensors[i]);
      const std::lock_guard lock(mutex);
      progress.done_bytes += tensors[i].bytes.size() + tensors[i].scales.size();
      progress.tensor = tensors[i].name;
      if (options.progress) options.progress(progress);
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 1; i < options.n_threads; ++i) threads.emplace_back(work);
    work();
  }
  if (options.stop.stop_requested()) return fail(ErrorCode::cancelled, "verification stopped");
  report.sha256 = digest_of(report.tensors);
  return report;
}

Json to_json(const VerifyReport& report) {
  Json tensors = Json::array();
  for (const TensorCheck& check : report.tensors) {
    Json item{{"name", check.name},   {"type", name_of(check.type)},
              {"shape", check.shape}, {"sha256", to_hex(check.sha256)},
              {"min", check.min},     {"max", check.max},
              {"nan", check.n_nan},   {"infinite", check.n_infinite}};
    if (!check.problem.empty()) item["problem"] = check.problem;
    tensors.push_back(std::move(item));
  }
  return Json{{"ok", report.ok()},
              {"sha256", to_hex(report.sha256)},
              {"bytes", report.bytes},
              {"tensors", std::move(tensors)}};
}

std::string to_text(const VerifyReport& report) {
  std::string out;
  size_t n_problems = 0;
  for (const TensorCheck& check : report.tensors) {
    if (check.problem.empty()) continue;
    ++n_problems;
    out += fmt::format("tensor \"{}\": {}\n", escape_controls(check.name), check.problem);
  }
  out += fmt::format("{} tensors, {} bytes read, {} with problems; SHA-256 {}\n",
                     report.tensors.size(), report.bytes, n_problems, to_hex(report.sha256));
  return out;
}

}  // namespace sable::inference
