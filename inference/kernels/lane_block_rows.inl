// Stored weights to sixteen lanes, 32 elements at a time: ggml's formats with blocks of 256. The
// same operations in the same order as dequantize_row, so the same bits. Part of lane_kernels.inl.
// Block layouts: ggml-org/llama.cpp ggml/src/ggml-common.h (facts of the format).

/// A view of rows of blocks of 256 elements in Bytes bytes; 32 elements are one of eight parts.
template <size_t Bytes>
struct SuperBlockRows : NoTail, InOrder {
  static constexpr size_t kStep = Bytes / 8;
  const std::byte* p;
  size_t stride;
  SuperBlockRows(const Weight& w, uint64_t r) : p(w.row(r)), stride(w.row_bytes) {}
  const std::byte* where(size_t i) const { return p + i / 256 * Bytes; }
  const std::byte* block(size_t r, size_t i) const { return where(i) + r * stride; }
  static size_t part(size_t i) { return i / 32 % 8; }
};

inline unsigned byte_at(const std::byte* p) { return std::to_integer<unsigned>(*p); }

/// step * q - minimum
inline V spread(Bytes16 q, V step, V minimum) { return sub(mul(step, from_u8(q)), minimum); }

/// The 6-bit scale and minimum of part 0..7, packed in 12 bytes.
inline void k_scale_of(const std::byte* packed, size_t part, float& scale, float& minimum) {
  unsigned s, m;
  if (part < 4) {
    s = byte_at(packed + part) & 63;
    m = byte_at(packed + part + 4) & 63;
  } else {
    const unsigned low = byte_at(packed + part + 4);
    s = (low & 15) | (byte_at(packed + part - 4) >> 6) << 4;
    m = low >> 4 | (byte_at(packed + part) >> 6) << 4;
  }
  scale = static_cast<float>(s);
  minimum = static_cast<float>(m);
}

struct Q4kRows : SuperBlockRows<144> {
  using SuperBlockRows::SuperBlockRows;
  void at(size_t r, size_t i, V& a, V& b) const {
    const std::byte* const q = block(r, i);
    float scale, least;
    k_scale_of(q + 4, part(i), scale, least);
    const V step = mul(splat_f16(q), splat(scale)), minimum = mul(splat_f16(q + 2), splat(least));
    const std::byte* const quants = q + 16 + 32 * (part(i) / 2);
    const int shift = 4 * static_cast<int>(part(i) % 2);
    a = spread(field(load_bytes(quants), shift, 15), step, minimum);
    b = spread(field(load_bytes(quants + 16), shift, 15), step, minimum);
  }
};

struct Q5kRows : SuperBlockRows<176> {
  using SuperBlockRows::SuperBlockRows;
  void at(size_t r, size_t i, V& a, V& b) const {
    const std::byte* const q = block(r, i);
    float scale, least;
    k_scale_of(q + 4, part(i), scale, least);
    const V step = mul(splat_f16(q), splat(scale)), minimum = mul(splat_f16(q + 2), splat(least));
    const std::byte* const quants = q + 48 + 32 * (part(i) / 2);
    const int shift = 4 * static_cast<int>(part(i) % 2), bit = static_cast<int>(part(i));
    const auto five = [&](size_t at) {
      return with_upper(field(load_bytes(quants + at), shift, 15),
                        field(load_bytes(q + 16 + at), bit, 1), 4);
    };
    a = spread(five(0), step, minimum);
    b = spread(five(16), step, minimum);
  }
};

struct Q6kRows : SuperBlockRows<210> {
  using SuperBlockRows::SuperBlockRows;
  void at(size_t r, size_t i, V& a, V& b) const {
    const std::byte* const q = block(r, i);
    const size_t half = part(i) / 4, quarter = part(i) % 4;
    const std::byte* const low = q + 64 * half + 32 * (quarter % 2);
    const std::byte* const high = q + 128 + 32 * half;
    const int low_shift = 4 * static_cast<int>(quarter / 2),
              high_shift = 2 * static_cast<int>(quarter);
    const V d = splat_f16(q + 208), offset = splat(32.0F);
    const auto sixteen = [&](size_t at) {
      const Bytes16 six = with_upper(field(load_bytes(low + at), low_shift, 15),
                                     field(load_bytes(high + at), high_shift, 3), 4);
      const auto scale =
          static_cast<float>(static_cast<int8_t>(byte_at(q + 192 + 2 * part(i) + at / 16)));
      return mul(mul(d, splat(scale)), sub(from_u8(six), offset));
    };
    a = sixteen(0);
    b = sixteen(16);
  }
};

struct Q2kRows : SuperBlockRows<84> {
  using SuperBlockRows::SuperBlockRows;
  void at(size_t r, size_t i, V& a, V& b) const {
    const std::byte* const q = block(r, i);
    const V d = splat_f16(q + 80), d_min = splat_f16(q + 82);
    const int shift = 2 * static_cast<int>(part(i) % 4);
    const auto sixteen = [&](size_t at) {
      const unsigned scales = byte_at(q + 2 * part(i) + at / 16);
      const V step = mul(d, splat(static_cast<float>(scales & 15)));
      const V minimum = mul(d_min, splat(static_cast<float>(scales >> 4)));
      return spread(field(load_bytes(q + 16 + 32 * (part(i) / 4) + at), shift, 3), step, minimum);
    };
    a = sixteen(0);
    b = sixteen(16);
  }
};

struct Iq2XxsRows : SuperBlockRows<66> {
  using SuperBlockRows::SuperBlockRows;
  void at(size_t r, size_t i, V& a, V& b) const {
    const std::byte* const q = block(r, i);
    const std::byte* const at = q + 2 + 8 * part(i);
    uint32_t word;
    std::memcpy(&word, at + 4, 4);
    const V factor =
        mul(mul(splat_f16(q), splat(0.5F + static_cast<float>(word >> 28))), splat(0.25F));
    const auto eights = [&](size_t first) {
      float values[16], signs[16];
      for (size_t k = 0; k < 2; ++k) {
        std::memcpy(values + 8 * k, kIq2XxsValues[byte_at(at + first + k)].data(), 32);
        std::memcpy(signs + 8 * k, kIq2XxsSigns[word >> 7 * (first + k) & 127].data(), 32);
      }
      return mul(mul(factor, load(values)), load(signs));
    };
    a = eights(0);
    b = eights(2);
  }
};
