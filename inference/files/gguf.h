// The GGUF container, versions 2 and 3, little-endian: typed metadata, tensor table, aligned data.
// Source: ggml-org/ggml docs/gguf.md; type numbers: ggml/include/ggml.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "inference/files/tensor.h"

namespace sable::inference {

/// Numbers of GGUF's metadata types.
enum class GgufType : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

/// An array of one scalar type; the vector that fits the type is filled, booleans as integers.
struct GgufArray {
  GgufType type = GgufType::u32;
  std::vector<int64_t> integers;  ///< u64 values above 2^63 - 1 are refused when reading
  std::vector<double> numbers;
  std::vector<std::string> strings;

  size_t size() const { return integers.size() + numbers.size() + strings.size(); }
};

struct GgufValue {
  GgufType type = GgufType::u32;
  std::variant<int64_t, double, std::string, GgufArray> value;  ///< booleans are 0 or 1
};

GgufValue gguf_u32(uint32_t value);
GgufValue gguf_f32(float value);
GgufValue gguf_bool(bool value);
GgufValue gguf_string(std::string value);
GgufValue gguf_i32_array(std::vector<int64_t> values);
GgufValue gguf_f32_array(std::vector<double> values);
GgufValue gguf_string_array(std::vector<std::string> values);

struct GgufTensor {
  std::string name;
  DType type = DType::f32;
  std::vector<uint64_t> shape;       ///< row-major, slowest first: the reverse of the file's order
  std::span<const std::byte> bytes;  ///< a view into the parsed file; not used for writing
};

/// Metadata in the file's order, and tensors in the file's order.
struct Gguf {
  uint32_t version = 3;
  std::vector<std::pair<std::string, GgufValue>> metadata;
  std::vector<GgufTensor> tensors;

  /// nullptr when absent.
  const GgufValue* find(std::string_view key) const;
  /// The value if it is there and of that kind.
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  ///< integers count
  std::optional<std::string> text(std::string_view key) const;
  const GgufArray* array(std::string_view key) const;
};

/// Parses and validates a whole file image: magic, version, counts against the bytes that are
/// there, duplicate keys and tensors, known types, sizes without overflow, aligned offsets in order
/// without overlap or hole, nothing behind the data. Errors (corrupt, unsupported) name the key or
/// tensor.
Result<Gguf> parse_gguf(std::span<const std::byte> file);

/// Everything of a version 3 file before the tensor data, padded to `kGgufAlignment`. The data
/// follows: each tensor of `tensors` in order, padded with zeros to the alignment.
inline constexpr uint64_t kGgufAlignment = 32;
std::string gguf_header(std::span<const std::pair<std::string, GgufValue>> metadata,
                        std::span<const GgufTensor> tensors);

/// Bytes of a tensor of this type and shape, unpadded. The shape has been checked.
uint64_t gguf_tensor_bytes(DType type, std::span<const uint64_t> shape);

/// ggml's number for a type, or nothing for types that GGUF does not have (FP8, bare FP4).
std::optional<uint32_t> ggml_type_number(DType type);

}  // namespace sable::inference
