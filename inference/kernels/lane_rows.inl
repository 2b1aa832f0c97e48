// Stored weights to sixteen lanes, 32 elements at a time: plain numbers and the small block
// formats. Part of lane_kernels.inl.

// Each format is a view of a weight from one row on: at(r, i, a, b) gives elements i .. i + 31 of
// the r-th row of the view, i a multiple of 32; kStep is how many bytes of a row they take.
//
// dealt() gives them in another order of lanes where that saves work; deal() brings a vector of
// elements into this order and undeal() back.
struct InOrder {
  static constexpr bool kDealt = false;
};

/// Rows that may end anywhere: tail() gives the last n < 32 elements, as if zeros followed.
struct AnyEnd {
  static constexpr bool kTail = true;
};
/// Rows of whole blocks.
struct NoTail {
  static constexpr bool kTail = false;
  void tail(size_t, size_t, size_t, V& a, V& b) const { a = b = zero(); }
};

/// Rows of plain numbers, which may end anywhere: from() decodes 32 of them.
template <class Number>
struct PlainRows : AnyEnd, InOrder {
  static constexpr size_t kStep = 32 * Number::kBytes;
  const std::byte* p;
  size_t stride;
  PlainRows(const Weight& w, uint64_t r) : p(w.row(r)), stride(w.row_bytes) {}
  void at(size_t r, size_t i, V& a, V& b) const {
    Number::from(p + Number::kBytes * i + r * stride, a, b);
  }
  void tail(size_t r, size_t i, size_t n, V& a, V& b) const {
    std::byte padded[128] = {};
    std::memcpy(padded, p + Number::kBytes * i + r * stride, n * Number::kBytes);
    Number::from(padded, a, b);
  }
};

struct F32 {
  static constexpr size_t kBytes = 4;
  static void from(const std::byte* q, V& a, V& b) {
    a = load(reinterpret_cast<const float*>(q));
    b = load(reinterpret_cast<const float*>(q) + 16);
  }
};

struct Bf16 {
  static constexpr size_t kBytes = 2;
  static void from(const std::byte* q, V& a, V& b) {
    a = load_bf16(q);
    b = load_bf16(q + 32);
  }
};

struct F16 {
  static constexpr size_t kBytes = 2;
  static void from(const std::byte* q, V& a, V& b) {
    a = load_f16(q);
    b = load_f16(q + 32);
  }
};

struct E4m3Rows : AnyEnd, InOrder {
  static constexpr size_t kStep = 32;
  const std::byte *p, *s;
  size_t stride, scale_stride;
  uint64_t first;  // of 128 rows that share scales
  E4m3Rows(const Weight& w, uint64_t r)
      : p(w.row(r)),
        s(w.scale_row(r)),
        stride(w.row_bytes),
        scale_stride(w.scale_row_bytes),
        first(r % 128) {}
  V scale(size_t r, size_t i) const {
    return splat(kE8m0[static_cast<uint8_t>(s[(first + r) / 128 * scale_stride + i / 128])] *
                 256.0F);
  }
  void at(size_t r, size_t i, V& a, V& b) const {
    const std::byte* const q = p + i + r * stride;
    const V factor = scale(r, i);
    a = mul(load_e4m3_over_256(q), factor);
    b = mul(load_e4m3_over_256(q + 16), factor);
  }
  void tail(size_t r, size_t i, size_t n, V& a, V& b) const {
    std::byte padded[32] = {};
    std::memcpy(padded, p + i + r * stride, n);
    const V factor = scale(r, i);
    a = mul(load_e4m3_over_256(padded), factor);
    b = mul(load_e4m3_over_256(padded + 16), factor);
  }
};

struct E2m1Rows : NoTail {
  static constexpr size_t kStep = 16;
  static constexpr bool kDealt = kDealE2m1;
  static V deal(V x) { return deal_pairs(x); }
  static V undeal(V x) { return undeal_pairs(x); }
  const std::byte *p, *s;
  size_t stride, scale_stride;
  E2m1Rows(const Weight& w, uint64_t r)
      : p(w.row(r)), s(w.scale_row(r)), stride(w.row_bytes), scale_stride(w.scale_row_bytes) {}
  void at(size_t r, size_t i, V& a, V& b) const {
    const auto exponent = static_cast<uint8_t>(s[i / 32 + r * scale_stride]);
    load_e2m1_pairs(p + i / 2 + r * stride, exponent, a, b);
  }
  void dealt(size_t r, size_t i, V& a, V& b) const {
    const auto exponent = static_cast<uint8_t>(s[i / 32 + r * scale_stride]);
    load_e2m1_pairs_dealt(p + i / 2 + r * stride, exponent, a, b);
  }
};

struct Mxfp4Rows : NoTail, InOrder {
  static constexpr size_t kStep = 17;
  const std::byte* p;
  size_t stride;
  Mxfp4Rows(const Weight& w, uint64_t r) : p(w.row(r)), stride(w.row_bytes) {}
  void at(size_t r, size_t i, V& a, V& b) const {
    const std::byte* const block = p + i / 32 * 17 + r * stride;
    load_e2m1_halves(block + 1, static_cast<uint8_t>(block[0]), a, b);
  }
};

struct Q8Rows : NoTail, InOrder {
  static constexpr size_t kStep = 34;
  const std::byte* p;
  size_t stride;
  Q8Rows(const Weight& w, uint64_t r) : p(w.row(r)), stride(w.row_bytes) {}
  void at(size_t r, size_t i, V& a, V& b) const {
    const std::byte* const block = p + i / 32 * 34 + r * stride;
    const V scale = splat_f16(block);
    a = mul(load_i8(block + 2), scale);
    b = mul(load_i8(block + 18), scale);
  }
};

#include "inference/kernels/lane_block_rows.inl"
