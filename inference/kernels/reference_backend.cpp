// The reference backend: every operator as plain loops with sums in double, on one thread. The
// definition of correct; the fast backend is compared with it.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "inference/kernels/backend.h"
#include "inference/kernels/rope.h"
#include "inference/kernels/routing.h"

namespace sable::inference {

namespace {

double dot(const float* a, const float* b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

class ReferenceBackend final : public Backend {
 public:
  std::string_view name() const override { return "reference"; }
  std::string_view detail() const override { return "plain loops"; }

  void* allocate(size_t bytes) override { return std::aligned_alloc(64, (bytes + 63) / 64 * 64); }
  void release(void* memory, size_t) override { std::free(memory); }
  void copy(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void clear(void* memory, size_t bytes) override { std::memset(memory, 0, bytes); }

  void embed(const Weight& table, std::span<const int32_t> ids, size_t n_streams,
             float* out) override {
    for (const int32_t id : ids) {
      for (size_t j = 0; j < n_streams; ++j, out += table.cols) {
        dequantize_row(*table.tensor, static_cast<uint64_t>(id), {out, table.cols});
      }
    }
  }

  void mix_streams(const StreamSite& site, const StreamMixSettings& settings, float rms_eps,
                   const StreamUpdate& update, float* streams, size_t n, size_t dim, float* post,
                   float* comb, float* y) override {
    merge_streams(update, n, dim, streams);
    for (size_t t = 0; t < n; ++t) {
      const float* const x = streams + t * kStreams * dim;
      const std::vector<float> m = stream_products(site, x, dim, rms_eps, kMixes);
      const StreamMix mix = stream_mix(m, {site.base, kMixes}, {site.scale, 3}, settings);
      std::copy(mix.post, mix.post + kStreams, post + t * kStreams);
      std::memcpy(comb + t * kStreams * kStreams, mix.comb, sizeof mix.comb);
      sum_streams(x, mix.pre, dim, y + t * dim);
    }
  }

  void merge_streams(const StreamUpdate& update, size_t n, size_t dim, float* streams) override {
    if (update.f == nullptr) return;
    for (size_t t = 0; t < n; ++t) {
      const float* const c = update.comb + t * kStreams * kStreams;
      for (size_t d = 0; d < dim; ++d) {
        float* const x = streams + t * kStreams * dim + d;
        const double in[kStreams] = {x[0], x[dim], x[2 * dim], x[3 * dim]};
        for (size_t k = 0; k < kStreams; ++k) {
          double sum = static_cast<double>(update.post[t * kStreams + k]) *
                       static_cast<double>(update.f[t * dim + d]);
          for (size_t j = 0; j < kStreams; ++j)
            sum += static_cast<double>(c[j * kStreams + k]) * in[j];
          x[k * dim] = static_cast<float>(sum);
        }
      }
    }
  }

  void mix_head(const StreamSite& site, float eps, float rms_eps, const float* streams, size_t n,
                size_t dim, float* y) override {
    for (size_t t = 0; t < n; ++t) {
      const float* const x = streams + t * kStreams * dim;
      const std::vector<float> m = stream_products(site, x, dim, rms_eps, kStreams);
      float pre[kStreams];
      head_mix(m, {site.base, kStreams}, site.scale[0], eps, pre);
      sum_streams(x, pre, dim, y + t * dim);
    }
  }

  void add_to_streams(const float* x, size_t n, size_t dim, float* streams) override {
    for (size_t i = 0; i < n * kStreams * dim; ++i) {
      streams[i] += x[i / (kStreams * dim) * dim + i % dim];
    }
  }

  void rms_norm(const NormRows& r) override {
    for (size_t t = 0; t < r.n_rows; ++t) {
      const float* const x = r.x + t * r.x_stride;
      const double factor = 1 / std::sqrt(dot(x, x, r.n_cols) / static_cast<double>(r.n_cols) +
                                          static_cast<double>(r.eps));
      for (size_t i = 0; i < r.n_cols; ++i) {
        const double w = r.weight == nullptr ? 1.0 : static_cast<double>(r.weight[i]);
        r.y[t * r.y_stride + i] = static_cast<float>(w * static_cast<double>(x[i]) * factor);
      }
    }
  }

  void rope(const RopeRows& r) override {
    for (size_t i = 0; i < r.n_rows * r.n_heads; ++i) {
      const size_t at = i / r.n_heads * r.n_pairs;
      float* const slice = r.x + (i + 1) * r.head_dim - 2 * r.n_pairs;
      rotate({slice, 2 * r.n_pairs}, {r.cos + at, r.n_pairs}, {r.sin + at, r.n_pairs}, r.inverse);
    }
  }

  void norm_and_rope(const NormRows& norm, const RopeRows& to_rotate) override {
    rms_norm(norm);
    rope(to_rotate);
  }

  void round(const RoundRows& r) override {
    for (size_t t = 0; t < r.n_rows; ++t) {
      const std::span<float> y(r.y + t * r.y_stride, r.n_cols);
      std::memmove(y.data(), r.x + t * r.x_stride, y.size_bytes());
      if (r.rounding == Rounding::fp8_groups_of_128) fake_quantize_fp8(y, 128);
      if (r.rounding == Rounding::fp8_groups_of_64) fake_quantize_fp8(y, 64);
      if (r.rounding == Rounding::hadamard_fp4) {
        hadamard(y);
        fake_quantize_fp4(y);
      }
    }
  }

  void scale(float* x, size_t n, float factor) override {
    for (size_t i = 0; i < n; ++i) x[i] *= factor;
  }

  void add_rows(float* x, size_t stride, size_t n_cols,
                std::span<const float* const> added) override {
    for (size_t r = 0; r < added.size(); ++r) {
      for (size_t i = 0; i < n_cols; ++i) x[r * stride + i] += added[r][i];
    }
  }

  void matmul(std::span<const MatmulJob> jobs, const std::stop_token& stop) override {
    std::vector<float> row;
    for (const MatmulJob& job : jobs) {
      row.resize(job.weight->cols);
      for (uint64_t r = 0; r < job.n_rows; ++r) {
        if (stop.stop_requested()) return;
        dequantize_row(*job.weight->tensor, job.row_begin + r, row);
        for (size_t t = 0; t < job.n_tokens; ++t) {
          job.y[t * job.y_stride + r] =
              static_cast<float>(dot(row.data(), job.x_row(t), row.size()));
        }
      }
    }
  }

  void pool(std::span<const PoolJob> jobs, size_t n_channels) override {
    for (const PoolJob& job : jobs) {
      for (size_t c = 0; c < n_channels; ++c) {
        double top = -std::numeric_limits<double>::infinity(), total = 0, pooled = 0;
        for (size_t i = 0; i < job.n_slots; ++i) {
          top = std::max(top, static_cast<double>(job.gates[i][c]));
        }
        for (size_t i = 0; i < job.n_slots; ++i) {
          const double e = std::exp(static_cast<double>(job.gates[i][c]) - top);
          total += e;
          pooled += e * static_cast<double>(job.values[i][c]);
        }
        job.out[c] = static_cast<float>(pooled / total);
      }
    }
  }

  void store_entries(CacheFormat format, const PackedEntryShape& shape, const float* x,
                     std::span<std::byte* const> to) override {
    std::vector<std::byte> packed(shape.bytes());
    for (size_t i = 0; i < to.size(); ++i, x += shape.head_dim) {
      if (format == CacheFormat::f32) {
        std::memcpy(to[i], x, shape.head_dim * sizeof(float));
        continue;
      }
      pack_entry(shape, {x, shape.head_dim}, packed.data());
      if (format == CacheFormat::packed) {
        std::copy(packed.begin(), packed.end(), to[i]);
      } else {
        unpack_entry(shape, packed.data(), {reinterpret_cast<float*>(to[i]), shape.head_dim});
      }
    }
  }

  void store_keys(CacheFormat format, size_t dim, const float* x,
                  std::span<std::byte* const> to) override {
    for (size_t i = 0; i < to.size(); ++i, x += dim) {
      if (format == CacheFormat::packed) {
        pack_key({x, dim}, to[i]);
      } else {
        std::memcpy(to[i], x, dim * sizeof(float));
      }
    }
  }

  void load_entries(CacheFormat format, const PackedEntryShape& shape,
                    std::span<const std::byte* const> from, float* out) override {
    for (const std::byte* const entry : from) {
      if (format == CacheFormat::packed) {
        unpack_entry(shape, entry, {out, shape.head_dim});
      } else {
        std::memcpy(out, entry, shape.head_dim * sizeof(float));
      }
      out += shape.head_dim;
    }
  }

  void load_keys(CacheFormat format, size_t dim, std::span<const std::byte* const> from,
                 float* out) override {
    for (const std::byte* const key : from) {
      if (format == CacheFormat::packed) {
        unpack_key(key, {out, dim});
      } else {
        std::memcpy(out, key, dim * sizeof(float));
      }
      out += dim;
    }
  }

  void attend(const AttendShape& shape, std::span<const AttendGroup> groups,
              const std::stop_token& stop) override {
    for (const AttendGroup& group : groups) {
      for (const AttendRow& row : group.rows) {
        if (stop.stop_requested()) return;
        attend_row(shape, group.entries, row);
      }
    }
  }

  void select(const SelectShape& shape, std::span<const SelectRow> rows,
              const std::stop_token& stop) override {
    const size_t dim = shape.head_dim;
    std::vector<float> key(dim), scores;
    std::vector<int32_t> work;
    for (const SelectRow& row : rows) {
      if (stop.stop_requested()) return;
      scores.resize(row.n_visible);
      work.resize(row.n_visible);
      for (size_t s = 0; s < row.n_visible; ++s) {
        const std::byte* const at =
            row.pages[s / shape.keys_per_page] + s % shape.keys_per_page * shape.key_bytes;
        load_keys(shape.format, dim, {&at, 1}, key.data());
        double sum = 0;
        for (size_t h = 0; h < shape.n_heads; ++h) {
          sum += std::max(0.0, dot(row.q + h * dim, key.data(), dim)) *
                 static_cast<double>(row.head_weights[h]);
        }
        scores[s] = static_cast<float>(sum);
      }
      top_indices(scores, work, row.chosen);
      if (row.scores != nullptr) std::copy(scores.begin(), scores.end(), row.scores);
    }
  }

  void route(float* logits, size_t n_experts, const float* bias, float scale, bool given,
             size_t n_active, size_t n, std::span<int32_t> chosen,
             std::span<float> weights) override {
    for (size_t t = 0; t < n; ++t) {
      const std::span<float> scores(logits + t * n_experts, n_experts);
      sqrt_softplus(scores);
      const auto ids = chosen.subspan(t * n_active, n_active);
      const auto shares = weights.subspan(t * n_active, n_active);
      if (given) {
        weigh_experts(scores, scale, ids, shares);
      } else {
        route_by_score(scores, {bias, bias == nullptr ? 0 : n_experts}, scale, ids, shares);
      }
    }
  }

  void swiglu(const float* gate, const float* up, float limit, std::span<const float> weights,
              size_t n_rows, size_t n_cols, float* out) override {
    for (size_t i = 0; i < n_rows * n_cols; ++i) {
      const double a = static_cast<double>(std::min(gate[i], limit));
      const double b = static_cast<double>(std::clamp(up[i], -limit, limit));
      const double w = weights.empty() ? 1.0 : static_cast<double>(weights[i / n_cols]);
      out[i] = static_cast<float>(a / (1 + std::exp(-a)) * b * w);
    }
  }

  void sum_rows(std::span<const float* const> terms, size_t n_terms, const float* last,
                size_t n_rows, size_t n_cols, float* out) override {
    for (size_t r = 0; r < n_rows; ++r) {
      for (size_t i = 0; i < n_cols; ++i) {
        double sum = 0;
        for (size_t k = 0; k < n_terms; ++k) sum += static_cast<double>(terms[r * n_terms + k][i]);
        out[r * n_cols + i] = static_cast<float>(sum + static_cast<double>(last[r * n_cols + i]));
      }
    }
  }

 private:
  void attend_row(const AttendShape& shape, const std::byte* const* entries, const AttendRow& row) {
    const size_t dim = shape.head_dim;
    PackedEntryShape entry = shape.packed;
    entry.head_dim = dim;
    std::vector<const std::byte*> from(entries + row.window.begin, entries + row.window.end);
    from.insert(from.end(), entries + row.compressed.begin, entries + row.compressed.end);
    std::vector<float> values(from.size() * dim);
    load_entries(shape.format, entry, from, values.data());
    std::vector<double> p(from.size()), out(dim);
    for (size_t h = 0; h < shape.n_heads; ++h) {
      double top = -std::numeric_limits<double>::infinity();
      for (size_t i = 0; i < p.size(); ++i) {
        p[i] =
            dot(row.q + h * dim, values.data() + i * dim, dim) * static_cast<double>(shape.scale);
        top = std::max(top, p[i]);
      }
      double total = std::exp(static_cast<double>(shape.sinks[h]) - top);
      std::fill(out.begin(), out.end(), 0.0);
      for (size_t i = 0; i < p.size(); ++i) {
        const double e = std::exp(p[i] - top);
        total += e;
        for (size_t c = 0; c < dim; ++c) out[c] += e * static_cast<double>(values[i * dim + c]);
      }
      for (size_t c = 0; c < dim; ++c) row.out[h * dim + c] = static_cast<float>(out[c] / total);
    }
  }

  static std::vector<float> stream_products(const StreamSite& site, const float* x, size_t dim,
                                            float rms_eps, size_t n_out) {
    const size_t n = kStreams * dim;
    const double factor =
        1 / std::sqrt(dot(x, x, n) / static_cast<double>(n) + static_cast<double>(rms_eps));
    std::vector<float> row(n), m(n_out);
    for (size_t o = 0; o < n_out; ++o) {
      dequantize_row(*site.fn->tensor, o, row);
      m[o] = static_cast<float>(dot(row.data(), x, n) * factor);
    }
    return m;
  }

  static void sum_streams(const float* x, const float* pre, size_t dim, float* y) {
    for (size_t d = 0; d < dim; ++d) {
      double sum = 0;
      for (size_t j = 0; j < kStreams; ++j) {
        sum += static_cast<double>(pre[j]) * static_cast<double>(x[j * dim + d]);
      }
      y[d] = static_cast<float>(sum);
    }
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace sable::inference
