#include "tests/unit/inference/graph/oracle.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "base/file.h"
#include "tests/support/mini_checkpoint.h"

namespace sable::inference::test {

namespace {

std::string read(const std::string& name) {
  const auto text = read_file(std::string(SABLE_SOURCE_DIR) + "/tests/golden/oracle/" + name);
  if (!text) throw std::runtime_error(text.error().message);
  return *text;
}

template <class T>
T value(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

}  // namespace

Golden Golden::read(const std::string& name) {
  Golden golden;
  golden.json = value(parse_json(test::read(name + ".json")));
  const std::string bytes = test::read(name + ".f32");
  golden.values.resize(bytes.size() / sizeof(float));
  std::memcpy(golden.values.data(), bytes.data(), bytes.size());
  if (golden.json["ids"].is_array()) {
    golden.ids = golden.json["ids"].get<std::vector<int32_t>>();
  } else {
    for (int32_t t = 0; t < 400; ++t) golden.ids.push_back((37 * t + 11 * (t / 7) + 5) % 512);
  }
  return golden;
}

std::string Golden::arguments() const {
  std::string text;
  for (const auto& argument : json["make_mini_args"]) {
    text += (text.empty() ? "" : " ") + argument.get<std::string>();
  }
  return text;
}

std::vector<size_t> Golden::positions() const {
  if (json["positions"].is_array()) return json["positions"].get<std::vector<size_t>>();
  std::vector<size_t> all(json["shape"][0].get<size_t>());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  return all;
}

std::span<const float> Golden::tensor(const std::string& name) const {
  const auto& entry = json["tensors"][name];
  size_t n = 1;
  for (const auto& size : entry["shape"]) n *= size.get<size_t>();
  return std::span(values).subspan(entry["offset"].get<size_t>() / sizeof(float), n);
}

Distance distance(std::span<const float> got, std::span<const float> want, size_t width) {
  if (got.size() != want.size()) throw std::runtime_error("rows differ in number");
  Distance d;
  const size_t n_rows = got.size() / width;
  for (size_t r = 0; r < n_rows; ++r) {
    const auto a = got.subspan(r * width, width), b = want.subspan(r * width, width);
    double largest = 0;
    for (size_t i = 0; i < width; ++i) {
      double delta = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
      if (std::isnan(delta)) delta = INFINITY;
      largest = std::max(largest, delta);
      d.mean_abs += delta;
    }
    d.max_abs = std::max(d.max_abs, largest);
    d.close_positions += largest <= 1e-3 ? 1 : 0;
    const auto top_a = std::max_element(a.begin(), a.end()) - a.begin();
    const auto top_b = std::max_element(b.begin(), b.end()) - b.begin();
    d.argmax_agreement += top_a == top_b ? 1 : 0;
  }
  d.mean_abs /= static_cast<double>(got.size());
  d.close_positions /= static_cast<double>(n_rows);
  d.argmax_agreement /= static_cast<double>(n_rows);
  return d;
}

Rig::Rig(const std::string& make_mini_arguments, const RunSettings& settings) {
  workers_ = std::make_unique<WorkerPool>(settings.n_threads);
  backend_ = settings.reference_backend ? make_reference_backend()
                                        : make_cpu_backend(*workers_, settings.kernels);
  pool_ = std::make_unique<PagePool>(*backend_, size_t{1} << 30);
  std::shared_ptr<const Checkpoint> checkpoint =
      value(Checkpoint::open(sable::test::mini_checkpoint(make_mini_arguments)));
  model_ = value(Model::load(checkpoint, *backend_));
  forward_ = value(Forward::create(*model_, *backend_, *pool_, settings.graph, settings.rows_max));
}

std::vector<float> Rig::logits(SequenceState& state, std::span<const int32_t> ids,
                               std::span<const size_t> chunks) {
  std::vector<float> all, rows;
  for (size_t done = 0, i = 0; done < ids.size(); ++i) {
    const size_t n =
        std::min({chunks[std::min(i, chunks.size() - 1)], forward_->rows_max(), ids.size() - done});
    const StepSequence step{.state = &state, .ids = ids.subspan(done, n), .all_logits = true};
    const auto stepped = forward_->step({&step, 1}, {}, rows);
    if (!stepped) throw std::runtime_error(stepped.error().message);
    all.insert(all.end(), rows.begin(), rows.end());
    done += n;
  }
  return all;
}

std::vector<float> Rig::logits(std::span<const int32_t> ids) {
  SequenceState state = fresh();
  const size_t whole[] = {forward_->rows_max()};
  return logits(state, ids, whole);
}

GraphSettings settings_of(const Golden& golden) {
  return {.format = CacheFormat::f32,
          .fake_quant = golden.json["fake_quant"].get<bool>(),
          .activation_quant = golden.json["activation_quant"].get<bool>()};
}

}  // namespace sable::inference::test
