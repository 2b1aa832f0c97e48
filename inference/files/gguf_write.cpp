// The writing half of gguf.h.
#include "base/check.h"
#include "inference/files/gguf.h"
#include "inference/files/number_formats.h"

namespace sable::inference {

GgufValue gguf_u32(uint32_t value) { return {GgufType::u32, int64_t{value}}; }
GgufValue gguf_f32(float value) { return {GgufType::f32, static_cast<double>(value)}; }
GgufValue gguf_bool(bool value) { return {GgufType::boolean, int64_t{value}}; }
GgufValue gguf_string(std::string value) { return {GgufType::string, std::move(value)}; }
GgufValue gguf_i32_array(std::vector<int64_t> values) {
  return {GgufType::array, GgufArray{GgufType::i32, std::move(values), {}, {}}};
}
GgufValue gguf_f32_array(std::vector<double> values) {
  return {GgufType::array, GgufArray{GgufType::f32, {}, std::move(values), {}}};
}
GgufValue gguf_string_array(std::vector<std::string> values) {
  return {GgufType::array, GgufArray{GgufType::string, {}, {}, std::move(values)}};
}

namespace {

/// Appends little-endian values.
class Writer {
 public:
  std::string out;

  template <class T>
  void put(T value) {
    std::byte bytes[sizeof(T)];
    store_le(bytes, value);
    out.append(reinterpret_cast<const char*>(bytes), sizeof(T));
  }
  void put_string(std::string_view text) {
    put(static_cast<uint64_t>(text.size()));
    out += text;
  }
  void put_integer(GgufType type, int64_t value) {
    switch (gguf_scalar_bytes(type)) {
      case 1:
        return put(static_cast<uint8_t>(value));
      case 2:
        return put(static_cast<uint16_t>(value));
      case 4:
        return put(static_cast<uint32_t>(value));
      default:
        return put(value);
    }
  }
  void put_number(GgufType type, double value) {
    type == GgufType::f32 ? put(static_cast<float>(value)) : put(value);
  }
  void put_value(const GgufValue& value) {
    put(static_cast<uint32_t>(value.type));
    if (const auto* whole = std::get_if<int64_t>(&value.value))
      return put_integer(value.type, *whole);
    if (const auto* number = std::get_if<double>(&value.value))
      return put_number(value.type, *number);
    if (const auto* text = std::get_if<std::string>(&value.value)) return put_string(*text);
    const auto& array = std::get<GgufArray>(value.value);
    put(static_cast<uint32_t>(array.type));
    put(static_cast<uint64_t>(array.size()));
    for (const int64_t item : array.integers) put_integer(array.type, item);
    for (const double item : array.numbers) put_number(array.type, item);
    for (const std::string& item : array.strings) put_string(item);
  }
};

uint64_t padded(uint64_t n) { return (n + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment; }

}  // namespace

std::string gguf_header(std::span<const std::pair<std::string, GgufValue>> metadata,
                        std::span<const GgufTensor> tensors) {
  Writer writer;
  writer.put(kGgufMagic);
  writer.put(uint32_t{3});
  writer.put(static_cast<uint64_t>(tensors.size()));
  writer.put(static_cast<uint64_t>(metadata.size()));
  for (const auto& [key, value] : metadata) {
    writer.put_string(key);
    writer.put_value(value);
  }
  uint64_t offset = 0;
  for (const GgufTensor& tensor : tensors) {
    const auto number = ggml_type_number(tensor.type);
    SABLE_CHECK(number.has_value());
    writer.put_string(tensor.name);
    writer.put(static_cast<uint32_t>(tensor.shape.size()));
    for (auto dim = tensor.shape.rbegin(); dim != tensor.shape.rend(); ++dim) writer.put(*dim);
    writer.put(*number);
    writer.put(offset);
    offset += padded(gguf_tensor_bytes(tensor.type, tensor.shape));
  }
  writer.out.resize(padded(writer.out.size()), '\0');
  return std::move(writer.out);
}

}  // namespace sable::inference
