// Every instruction set gives the same bits, for one vector and for many, and agrees with sums in
// double.
#include "inference/kernels/lane_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "inference/kernels/backend.h"
#include "inference/kernels/routing.h"
#include "inference/kernels/worker_pool.h"

using namespace sable::inference;

namespace {

struct Matrix {
  std::vector<std::byte> bytes, scales;
  Tensor tensor;
};

/// Where a block of the type has its FP16 scales.
std::vector<size_t> f16_scales(DType type) {
  switch (type) {
    case DType::q2_k:
      return {80, 82};
    case DType::q4_k:
    case DType::q5_k:
      return {0, 2};
    case DType::q6_k:
      return {208};
    default:
      return {0};
  }
}

/// Random bytes that are a valid matrix of the type: no NaN, scales near one.
Matrix random_matrix(DType type, size_t rows, size_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  const auto byte = [&] { return static_cast<std::byte>(random() & 0xff); };
  Matrix m;
  const BlockShape block = block_of(type);
  m.bytes.resize(rows * cols / block.elements * block.bytes);
  for (std::byte& b : m.bytes) b = byte();
  const auto exponent = [&] { return static_cast<std::byte>(120 + random() % 12); };
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < m.bytes.size();) {
    if (type == DType::f32) {
      const float v = normal(random);
      std::memcpy(&m.bytes[i], &v, 4);
      i += 4;
    } else if (type == DType::bf16) {
      m.bytes[i + 1] = static_cast<std::byte>((random() & 0x80) | 0x3f);
      i += 2;
    } else if (type == DType::f16) {
      m.bytes[i + 1] &= std::byte{0xbb};  // exponents below 15; subnormals among them
      i += 2;
    } else if (type == DType::f8_e4m3) {
      if ((m.bytes[i] & std::byte{0x7f}) == std::byte{0x7f}) m.bytes[i] = std::byte{0x80};
      i += 1;
    } else if (type == DType::mxfp4) {
      m.bytes[i] = exponent();
      i += 17;
    } else if (block.elements > 32 || type == DType::q8_0) {
      for (const size_t at : f16_scales(type)) {
        m.bytes[i + at + 1] = static_cast<std::byte>((random() & 0x80) | 0x2c);
      }
      i += block.bytes;
    } else {
      i += 1;
    }
  }
  if (type == DType::f8_e4m3) m.scales.resize((rows + 127) / 128 * ((cols + 127) / 128));
  if (type == DType::f4_e2m1) m.scales.resize(rows * cols / 32);
  for (std::byte& s : m.scales) s = exponent();
  m.tensor = {
      .name = "random", .type = type, .shape = {rows, cols}, .bytes = m.bytes, .scales = m.scales};
  return m;
}

std::vector<float> random_vector(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

std::vector<float> product(Backend& backend, const Weight& w, std::span<const float> x, size_t n) {
  std::vector<float> y(n * w.rows);
  const MatmulJob job{.weight = &w,
                      .n_rows = w.rows,
                      .x = x.data(),
                      .x_stride = w.cols,
                      .y = y.data(),
                      .y_stride = w.rows,
                      .n_tokens = n};
  backend.matmul({&job, 1}, {});
  return y;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace

TEST_CASE("products have the same bits for every instruction set, batch and thread count") {
  const DType type =
      GENERATE(DType::f32, DType::bf16, DType::f16, DType::f8_e4m3, DType::f4_e2m1, DType::mxfp4,
               DType::q8_0, DType::q2_k, DType::q4_k, DType::q5_k, DType::q6_k, DType::iq2_xxs);
  const size_t unit = std::max<size_t>(32, block_of(type).elements);
  const bool plain =
      type == DType::f32 || type == DType::bf16 || type == DType::f16 || type == DType::f8_e4m3;
  const auto reference = make_reference_backend();
  for (const size_t cols : {unit, unit * (unit == 32 ? 12 : 3), size_t{1024},
                            plain ? size_t{77} : 2 * unit, kSliceColumns + (plain ? 77 : unit)}) {
    const Matrix m = random_matrix(type, 131, cols, static_cast<uint32_t>(cols));
    const Weight w = Weight::of(m.tensor);
    constexpr size_t kTokens = 21;
    const std::vector<float> x = random_vector(kTokens * cols, 7);
    const std::vector<float> want = product(*reference, w, x, kTokens);
    std::vector<float> magnitude(want.size());
    std::vector<float> row(cols);
    for (size_t r = 0; r < w.rows; ++r) {
      dequantize_row(m.tensor, r, row);
      for (size_t t = 0; t < kTokens; ++t) {
        for (size_t i = 0; i < cols; ++i)
          magnitude[t * w.rows + r] += std::fabs(row[i] * x[t * cols + i]);
      }
    }
    std::vector<float> first;
    for (const LaneKernels* kernels : runnable_lane_kernels()) {
      for (const size_t n_threads : {size_t{1}, size_t{3}}) {
        INFO(name_of(type) << " " << cols << " " << kernels->name << " " << n_threads);
        WorkerPool pool(n_threads);
        const auto backend = make_cpu_backend(pool, kernels);
        const std::vector<float> got = product(*backend, w, x, kTokens);
        if (first.empty()) first = got;
        CHECK(same_bits(got, first));
        for (size_t t = 0; t < kTokens; ++t) {
          const std::vector<float> alone =
              product(*backend, w, std::span(x).subspan(t * cols, cols), 1);
          CHECK(same_bits(alone, std::span(got).subspan(t * w.rows, w.rows)));
        }
        for (size_t n = 2; n <= 9; ++n) {  // some numbers of vectors have kernels of their own
          const std::vector<float> few = product(*backend, w, std::span(x).first(n * cols), n);
          CHECK(same_bits(few, std::span(got).first(n * w.rows)));
        }
        for (size_t i = 0; i < got.size(); ++i) {
          REQUIRE(std::fabs(got[i] - want[i]) <= 2e-6F * magnitude[i] + 1e-30F);
        }
      }
    }
  }
}

TEST_CASE("products have the same bits when the vectors are too many to pass together") {
  const size_t cols = 4 * kSliceColumns + 32;
  const size_t n = 2 * vectors_together(cols) + GENERATE(size_t{1}, size_t{11});
  const Matrix matrices[] = {random_matrix(DType::q8_0, 19, cols, 5),
                             random_matrix(DType::bf16, 70, cols, 8)};
  const Weight weights[] = {Weight::of(matrices[0].tensor), Weight::of(matrices[1].tensor)};
  const std::vector<float> x = random_vector(n * cols, 6);
  for (const LaneKernels* kernels : runnable_lane_kernels()) {
    INFO(kernels->name);
    WorkerPool pool(2);
    const auto backend = make_cpu_backend(pool, kernels);
    // Both matrices in one go: they share the vectors.
    std::vector<float> together[2];
    std::vector<MatmulJob> jobs;
    for (size_t m = 0; m < 2; ++m) {
      together[m].resize(n * weights[m].rows);
      jobs.push_back({.weight = &weights[m],
                      .n_rows = weights[m].rows,
                      .x = x.data(),
                      .x_stride = cols,
                      .y = together[m].data(),
                      .y_stride = weights[m].rows,
                      .n_tokens = n});
    }
    backend->matmul(jobs, {});
    for (size_t m = 0; m < 2; ++m) {
      const size_t rows = weights[m].rows;
      for (size_t t = 0; t < n; t += 7) {
        const std::vector<float> alone =
            product(*backend, weights[m], std::span(x).subspan(t * cols, cols), 1);
        CHECK(same_bits(alone, std::span(together[m]).subspan(t * rows, rows)));
      }
    }
  }
}

/// What each operator on rows makes of random input of this size, one operator after the other.
std::vector<std::vector<float>> row_operators(Backend& backend, size_t n, size_t dim,
                                              const Weight& fn) {
  const auto random = [](size_t size, uint32_t seed) { return random_vector(size, seed); };
  std::vector<std::vector<float>> results;
  const auto added = [&](size_t size) -> float* { return results.emplace_back(size).data(); };
  const std::vector<float> x = random(n * dim, 1), weight = random(dim, 2);
  for (const float* w : {weight.data(), static_cast<const float*>(nullptr)}) {
    backend.rms_norm({.x = x.data(),
                      .x_stride = dim,
                      .weight = w,
                      .y = added(n * (dim + 3)),
                      .y_stride = dim + 3,
                      .n_rows = n,
                      .n_cols = dim});
  }
  const size_t n_heads = 2, n_pairs = dim / 4;
  const std::vector<float> cos = random(n * n_pairs, 12), sin = random(n * n_pairs, 13);
  std::vector<float> heads = random(n * n_heads * dim, 14);
  const RopeRows rope{.x = heads.data(),
                      .n_rows = n,
                      .n_heads = n_heads,
                      .head_dim = dim,
                      .n_pairs = n_pairs,
                      .cos = cos.data(),
                      .sin = sin.data()};
  backend.norm_and_rope({.x = heads.data(),
                         .x_stride = dim,
                         .y = heads.data(),
                         .y_stride = dim,
                         .n_rows = n * n_heads,
                         .n_cols = dim},
                        rope);
  results.push_back(heads);
  RopeRows back = rope;
  back.inverse = true;
  backend.rope(back);
  results.push_back(heads);

  for (const Rounding rounding : {Rounding::fp8_groups_of_64, Rounding::fp8_groups_of_128}) {
    backend.round({.rounding = rounding,
                   .x = x.data(),
                   .x_stride = dim,
                   .y = added(n * dim),
                   .y_stride = dim,
                   .n_rows = n,
                   .n_cols = dim});
  }
  const PackedEntryShape shape{.head_dim = dim, .rope_dim = 8};
  std::vector<std::byte> packed(n * shape.bytes());
  std::vector<std::byte*> to;
  for (size_t i = 0; i < n; ++i) to.push_back(&packed[i * shape.bytes()]);
  backend.store_entries(CacheFormat::packed, shape, x.data(), to);
  results.emplace_back().reserve(packed.size());
  for (const std::byte b : packed) {
    results.back().push_back(static_cast<float>(std::to_integer<int>(b)));
  }

  std::vector<const float*> terms;
  const std::vector<float> term = random(5 * n * dim, 3);
  for (size_t i = 0; i < 5 * n; ++i) terms.push_back(&term[(i / 5 * 5 + 4 - i % 5) * dim]);
  backend.sum_rows(terms, 5, x.data(), n, dim, added(n * dim));
  const std::vector<float> up = random(n * dim, 4), shares = random(n, 5);
  backend.swiglu(x.data(), up.data(), 1.5F, shares, n, dim, added(n * dim));

  std::vector<float> streams = random(n * kStreams * dim, 6);
  const std::vector<float> base = random(kMixes, 7), scale = random(3, 8);
  const StreamSite site{.fn = &fn, .base = base.data(), .scale = scale.data()};
  std::vector<float> post(n * kStreams), comb(n * kStreams * kStreams);
  const StreamUpdate update{.f = x.data(), .post = post.data(), .comb = comb.data()};
  backend.mix_streams(site, {}, 1e-6F, {}, streams.data(), n, dim, post.data(), comb.data(),
                      added(n * dim));
  backend.mix_streams(site, {}, 1e-6F, update, streams.data(), n, dim, post.data(), comb.data(),
                      added(n * dim));
  backend.merge_streams(update, n, dim, streams.data());
  results.insert(results.end(), {post, comb, streams});

  std::vector<float> logits = random(n * 37, 9);
  const std::vector<float> bias = random(37, 10);
  std::vector<int32_t> chosen(n * 5);
  std::vector<float> weights(n * 5);
  backend.route(logits.data(), 37, bias.data(), 1.5F, false, 5, n, chosen, weights);
  results.push_back(weights);
  results.emplace_back(chosen.begin(), chosen.end());
  return results;
}

TEST_CASE("operators on rows agree with the reference at any size, threads and instruction set") {
  const size_t n = GENERATE(size_t{1}, size_t{5}, size_t{8}, size_t{61});
  const size_t dim = GENERATE(size_t{8}, size_t{72}, size_t{1000});
  const Matrix m = random_matrix(DType::f32, kMixes, kStreams * dim, 11);
  Weight fn = Weight::of(m.tensor);
  const auto want = row_operators(*make_reference_backend(), n, dim, fn);
  std::vector<std::vector<float>> first;
  for (const LaneKernels* kernels : runnable_lane_kernels()) {
    for (const size_t n_threads : {size_t{1}, size_t{3}}) {
      WorkerPool pool(n_threads);
      const auto backend = make_cpu_backend(pool, kernels);
      const auto got = row_operators(*backend, n, dim, fn);
      const auto alone = row_operators(*backend, 1, dim, fn);
      if (first.empty()) first = got;
      REQUIRE(got.size() == want.size());
      for (size_t k = 0; k < got.size(); ++k) {
        INFO(kernels->name << ", " << n_threads << " threads, " << n << " rows of " << dim
                           << ", result " << k);
        CHECK(same_bits(got[k], first[k]));
        CHECK(same_bits(alone[k], std::span(got[k]).first(alone[k].size())));
        size_t n_apart = 0;
        for (size_t i = 0; i < got[k].size(); ++i) {
          n_apart += got[k][i] == Approx(want[k][i]).epsilon(1e-4).margin(1e-4) ? 0 : 1;
        }
        CHECK(n_apart == 0);
      }
    }
  }
}

TEST_CASE("rows decode to the numbers that their formats define") {
  const DType type =
      GENERATE(DType::bf16, DType::f16, DType::f8_e4m3, DType::f4_e2m1, DType::mxfp4, DType::q8_0,
               DType::q2_k, DType::q4_k, DType::q5_k, DType::q6_k, DType::iq2_xxs);
  const Matrix m = random_matrix(type, 9, 512, 11);
  const Weight w = Weight::of(m.tensor);
  std::vector<float> got(512), want(512);
  for (const LaneKernels* kernels : runnable_lane_kernels()) {
    for (size_t r = 0; r < 9; ++r) {
      INFO(name_of(type) << " " << kernels->name << " row " << r);
      kernels->decode_row(w, r, got.data());
      dequantize_row(m.tensor, r, want);
      CHECK(got == want);
    }
  }
}

TEST_CASE("vectors that lie anywhere give the same bits as those in a row") {
  const DType type = GENERATE(DType::bf16, DType::f4_e2m1, DType::mxfp4, DType::q8_0);
  for (const size_t cols :
       {size_t{96}, kSliceColumns + 64, type == DType::bf16 ? size_t{77} : size_t{32}}) {
    const Matrix m = random_matrix(type, 43, cols, 2);
    const Weight w = Weight::of(m.tensor);
    const std::vector<float> x = random_vector(9 * cols, 7);
    for (const size_t n : {size_t{1}, size_t{2}, size_t{3}, size_t{4}, size_t{7}, size_t{8},
                           size_t{9}, size_t{16}, size_t{150}}) {
      std::vector<const float*> rows;
      std::vector<float> in_order;
      for (size_t t = 0; t < n; ++t) {
        rows.push_back(&x[t * 5 % 9 * cols]);
        in_order.insert(in_order.end(), rows.back(), rows.back() + cols);
      }
      const auto anywhere = [&](Backend& backend) {
        std::vector<float> y(n * w.rows);
        const MatmulJob job{.weight = &w,
                            .n_rows = w.rows,
                            .x_rows = rows.data(),
                            .y = y.data(),
                            .y_stride = w.rows,
                            .n_tokens = n};
        backend.matmul({&job, 1}, {});
        return y;
      };
      INFO(name_of(type) << " " << cols << " columns, " << n << " vectors");
      const auto reference = make_reference_backend();
      CHECK(same_bits(anywhere(*reference), product(*reference, w, in_order, n)));
      for (const LaneKernels* kernels : runnable_lane_kernels()) {
        INFO(kernels->name);
        WorkerPool pool(1);
        const auto backend = make_cpu_backend(pool, kernels);
        CHECK(same_bits(anywhere(*backend), product(*backend, w, in_order, n)));
      }
    }
  }
}

TEST_CASE("equal weights give equal bits in whatever format they are stored") {
  const Matrix m = random_matrix(DType::q8_0, 40, 256, 3);
  std::vector<float> plain(size_t{40} * 256);
  for (size_t r = 0; r < 40; ++r)
    dequantize_row(m.tensor, r, std::span(plain).subspan(r * 256, 256));
  Tensor decoded{.name = "decoded", .type = DType::f32, .shape = {40, 256}};
  decoded.bytes = std::as_bytes(std::span(plain));
  WorkerPool pool(1);
  const auto backend = make_cpu_backend(pool);
  const std::vector<float> x = random_vector(256, 5);
  const Weight a = Weight::of(m.tensor), b = Weight::of(decoded);
  CHECK(same_bits(product(*backend, a, x, 1), product(*backend, b, x, 1)));
}

TEST_CASE("attention has the same bits for every instruction set and split of heads") {
  constexpr size_t kHeads = 10, kDim = 192;
  const size_t n = GENERATE(size_t{1}, size_t{7}, size_t{64}, size_t{65}, size_t{200});
  const bool packed = GENERATE(false, true);
  const PackedEntryShape shape{kDim, 64};
  const std::vector<float> q = random_vector(kHeads * kDim, 1), sinks = random_vector(kHeads, 2);
  const std::vector<float> values = random_vector(n * kDim, 3);
  const CacheFormat format = packed ? CacheFormat::packed : CacheFormat::f32;
  const size_t bytes = packed ? shape.bytes() : kDim * sizeof(float);
  std::vector<std::byte> entries(n * bytes);
  std::vector<std::byte*> to;
  for (size_t i = 0; i < n; ++i) to.push_back(&entries[i * bytes]);
  const std::vector<const std::byte*> from(to.begin(), to.end());
  const AttendShape attend{kHeads, kDim, format, shape, 0.07F, sinks.data()};

  const auto run = [&](Backend& backend) {
    backend.store_entries(format, shape, values.data(), to);
    std::vector<float> out(kHeads * kDim);
    const AttendRow row{.q = q.data(), .window = {0, n}, .out = out.data()};
    const AttendGroup group{.entries = from.data(), .n_entries = n, .rows = {&row, 1}};
    backend.attend(attend, {&group, 1}, {});
    return out;
  };
  const std::vector<float> want = run(*make_reference_backend());
  std::vector<float> first;
  for (const LaneKernels* kernels : runnable_lane_kernels()) {
    for (const size_t n_threads : {size_t{1}, size_t{2}, size_t{3}}) {
      INFO(kernels->name << " " << n_threads << " entries " << n);
      WorkerPool pool(n_threads);
      const std::vector<float> got = run(*make_cpu_backend(pool, kernels));
      if (first.empty()) first = got;
      CHECK(same_bits(got, first));
      for (size_t i = 0; i < got.size(); ++i) {
        REQUIRE(got[i] == Approx(want[i]).margin(3e-6));
      }
    }
  }
}

TEST_CASE("a query gets the same bits in a group as alone") {
  constexpr size_t kHeads = 5, kDim = 64;
  const PackedEntryShape shape{kDim, 32};
  // As in a prompt: windows of at most n_window positions from the first on, then a compressed
  // entry for every so many.
  const size_t n_window = GENERATE(size_t{3}, size_t{64}, size_t{128});
  const size_t first = GENERATE(size_t{0}, size_t{60}, size_t{126}, size_t{300});
  const size_t ratio = GENERATE(size_t{1}, size_t{4}, size_t{1000});
  const size_t last = first + kGroupedQueries - 1;
  const auto begin_of = [&](size_t p) { return p + 1 > n_window ? p + 1 - n_window : 0; };
  const size_t from = begin_of(first), n_near = last + 1 - from, n = n_near + (last + 1) / ratio;
  const std::vector<float> q = random_vector(kGroupedQueries * kHeads * kDim, 1);
  const std::vector<float> sinks = random_vector(kHeads, 2), values = random_vector(n * kDim, 3);
  std::vector<std::byte> entries(n * shape.bytes());
  std::vector<std::byte*> to;
  for (size_t i = 0; i < n; ++i) to.push_back(&entries[i * shape.bytes()]);
  const std::vector<const std::byte*> at(to.begin(), to.end());
  const AttendShape attend{kHeads, kDim, CacheFormat::packed, shape, 0.3F, sinks.data()};

  const auto rows = [&](std::vector<float>& out) {
    std::vector<AttendRow> list;
    for (size_t i = 0; i < kGroupedQueries; ++i) {
      const size_t p = first + i;
      list.push_back({.q = &q[i * kHeads * kDim],
                      .window = {begin_of(p) - from, p + 1 - from},
                      .compressed = {n_near, n_near + (p + 1) / ratio},
                      .out = &out[i * kHeads * kDim]});
    }
    return list;
  };
  const auto grouped = [&](Backend& backend) {
    backend.store_entries(CacheFormat::packed, shape, values.data(), to);
    std::vector<float> out(q.size());
    const std::vector<AttendRow> list = rows(out);
    const AttendGroup group{.entries = at.data(), .n_entries = n, .rows = list};
    backend.attend(attend, {&group, 1}, {});
    return out;
  };
  const std::vector<float> want = grouped(*make_reference_backend());
  for (const LaneKernels* kernels : runnable_lane_kernels()) {
    INFO(kernels->name << " window " << n_window << " from " << first << " ratio " << ratio);
    WorkerPool pool(2);
    const auto backend = make_cpu_backend(pool, kernels);
    const std::vector<float> got = grouped(*backend);
    std::vector<float> alone(q.size());
    const std::vector<AttendRow> list = rows(alone);
    for (const AttendRow& row : list) {
      const AttendGroup group{.entries = at.data(), .n_entries = n, .rows = {&row, 1}};
      backend->attend(attend, {&group, 1}, {});
    }
    CHECK(same_bits(got, alone));
    for (size_t i = 0; i < got.size(); ++i) REQUIRE(got[i] == Approx(want[i]).margin(3e-6));
  }
}

TEST_CASE("index keys are scored like the reference's, however wide they are") {
  // The widest have more columns than a slice, and more queries and heads than pass together.
  const size_t dim = GENERATE(size_t{32}, size_t{128}, size_t{4096});
  constexpr size_t kHeads = 9, kQueries = 11, kKeys = 40, kInPage = 32;
  const std::vector<float> keys = random_vector(kKeys * dim, 1);
  const std::vector<float> q = random_vector(kQueries * kHeads * dim, 2);
  const std::vector<float> head_weights = random_vector(kQueries * kHeads, 3);
  const std::byte* const pages[] = {
      reinterpret_cast<const std::byte*>(keys.data()),
      reinterpret_cast<const std::byte*>(keys.data() + kInPage * dim)};
  const SelectShape shape{.n_heads = kHeads,
                          .head_dim = dim,
                          .format = CacheFormat::f32,
                          .key_bytes = dim * sizeof(float),
                          .keys_per_page = kInPage};
  const auto scores_of = [&](Backend& backend) {
    std::vector<float> scores(kQueries * kKeys);
    std::vector<int32_t> chosen(kQueries * 3);
    std::vector<SelectRow> rows;
    for (size_t i = 0; i < kQueries; ++i) {
      rows.push_back({.q = &q[i * kHeads * dim],
                      .head_weights = &head_weights[i * kHeads],
                      .pages = pages,
                      .n_visible = kKeys - kQueries + 1 + i,
                      .chosen = std::span(chosen).subspan(i * 3, 3),
                      .scores = &scores[i * kKeys]});
    }
    backend.select(shape, rows, {});
    return std::pair(scores, chosen);
  };
  const auto [want, best] = scores_of(*make_reference_backend());
  for (const LaneKernels* kernels : runnable_lane_kernels()) {
    INFO(kernels->name << " " << dim);
    WorkerPool pool(2);
    const auto [got, chosen] = scores_of(*make_cpu_backend(pool, kernels));
    CHECK(chosen == best);
    const float margin = 2e-5F * static_cast<float>(dim);
    for (size_t i = 0; i < got.size(); ++i) REQUIRE(got[i] == Approx(want[i]).margin(margin));
  }
}

TEST_CASE("the best scores are the reference's whatever the scores are") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::mt19937 random(5);
  const size_t n = GENERATE(size_t{0}, size_t{5}, size_t{512}, size_t{4099}, size_t{70000});
  for (const size_t k : {size_t{0}, size_t{1}, size_t{5}, size_t{100}, size_t{511}, size_t{4099}}) {
    if (k > n) continue;
    for (int kind = 0; kind < 5; ++kind) {
      std::vector<float> scores(n);
      for (size_t i = 0; i < n; ++i) {
        const auto x = static_cast<float>(random() % 100000);
        scores[i] = kind == 0   ? x - 50000
                    : kind == 1 ? static_cast<float>(random() % 3)  // ties everywhere
                    : kind == 2 ? (random() % 9 == 0 ? x : std::nanf(""))
                    : kind == 3 ? (random() % 2 == 0 ? -0.0F : 0.0F)
                                : (random() % 2 == 0 ? kInfinity : -kInfinity);
      }
      std::vector<int32_t> work(2 * n), want(k), got(k + 1);
      top_indices(scores, std::span(work).first(n), want);
      for (const LaneKernels* kernels : runnable_lane_kernels()) {
        INFO(kernels->name << " " << n << " " << k << " " << kind);
        got[k] = -1;
        kernels->top_scores(scores.data(), n, k, work.data(), got.data());
        CHECK(std::ranges::equal(std::span(got).first(k), want));
        CHECK(got[k] == -1);
      }
    }
  }
}

TEST_CASE("a loop over the pool runs every piece once, whoever takes it") {
  WorkerPool pool(4);
  for (size_t n : {size_t{0}, size_t{1}, size_t{2}, size_t{1000}}) {
    for (int repeat = 0; repeat < 50; ++repeat) {
      std::vector<std::atomic<int>> hits(n);
      std::atomic<bool> numbered{true};
      pool.run(n, [&](size_t i, size_t thread) {
        ++hits[i];
        if (thread >= 4) numbered = false;
      });
      bool once = true;
      for (const auto& h : hits) once = once && h == 1;
      CHECK(once);
      CHECK(numbered);
    }
  }
}
