#include "inference/files/gguf.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "inference/files/number_formats.h"

namespace sable::inference {

namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kKeysMax = 1 << 16;
constexpr uint64_t kTensorsMax = 1 << 20;
constexpr uint64_t kArrayElementsMax = 1 << 24;  // over all arrays of one file
constexpr uint64_t kNameBytesMax = 4096;
constexpr uint64_t kTextBytesMax = uint64_t{256} << 20;
constexpr uint32_t kDimsMax = 4;

struct TypeNumber {
  uint32_t number;
  DType type;
};
constexpr TypeNumber kTypes[] = {{0, DType::f32},   {1, DType::f16},      {8, DType::q8_0},
                                 {10, DType::q2_k}, {12, DType::q4_k},    {13, DType::q5_k},
                                 {14, DType::q6_k}, {16, DType::iq2_xxs}, {24, DType::i8},
                                 {26, DType::i32},  {27, DType::i64},     {30, DType::bf16},
                                 {39, DType::mxfp4}};

/// Bytes of a scalar metadata type; 0 for strings, arrays and unknown types.
uint64_t scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      return 0;
  }
  return 0;
}

bool is_float(GgufType type) { return type == GgufType::f32 || type == GgufType::f64; }

tl::unexpected<Error> corrupt(std::string reason) {
  return fail(ErrorCode::corrupt, std::move(reason));
}

/// Reads forward through the file; every read is checked against what is left.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> file) : file_(file) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return file_.size() - at_; }

  template <class T>
  Result<T> take() {
    if (left() < sizeof(T)) return truncated();
    const T value = load_le<T>(file_.data() + at_);
    at_ += sizeof(T);
    return value;
  }

  Result<std::string> string(uint64_t bytes_max) {
    SABLE_TRY(const uint64_t size, take<uint64_t>());
    if (size > left()) return truncated();
    if (size > bytes_max)
      return corrupt(fmt::format("text of {} bytes (limit {})", size, bytes_max));
    std::string text(reinterpret_cast<const char*>(file_.data() + at_), size);
    at_ += size;
    return text;
  }

  Result<int64_t> integer(GgufType type) {
    switch (type) {
      case GgufType::u8:
        return widen<uint8_t>();
      case GgufType::i8:
        return widen<int8_t>();
      case GgufType::u16:
        return widen<uint16_t>();
      case GgufType::i16:
        return widen<int16_t>();
      case GgufType::u32:
        return widen<uint32_t>();
      case GgufType::i32:
        return widen<int32_t>();
      case GgufType::i64:
        return widen<int64_t>();
      case GgufType::boolean: {
        SABLE_TRY(const uint8_t value, take<uint8_t>());
        if (value > 1) return corrupt(fmt::format("boolean with value {}", value));
        return int64_t{value};
      }
      case GgufType::u64: {
        SABLE_TRY(const uint64_t value, take<uint64_t>());
        if (value > uint64_t{INT64_MAX})
          return corrupt(fmt::format("integer {} is too large", value));
        return static_cast<int64_t>(value);
      }
      default:
        return corrupt("not an integer type");
    }
  }

  Result<double> number(GgufType type) {
    if (type == GgufType::f64) return take<double>();
    SABLE_TRY(const float value, take<float>());
    return static_cast<double>(value);
  }

  static tl::unexpected<Error> truncated() {
    return corrupt("the file ends inside the header (truncated?)");
  }

 private:
  template <class T>
  Result<int64_t> widen() {
    SABLE_TRY(const T value, take<T>());
    return static_cast<int64_t>(value);
  }

  std::span<const std::byte> file_;
  uint64_t at_ = 0;
};

class Parser {
 public:
  explicit Parser(std::span<const std::byte> file) : file_(file), in_(file) {}

  Result<Gguf> parse() {
    SABLE_TRY(const uint32_t magic, in_.take<uint32_t>());
    if (magic != kMagic) return corrupt("not a GGUF file (wrong magic)");
    SABLE_TRY(out_.version, in_.take<uint32_t>());
    if (out_.version != 2 && out_.version != 3) {
      return fail(ErrorCode::unsupported,
                  fmt::format("GGUF version {} (2 and 3 are supported)", out_.version));
    }
    SABLE_TRY(const uint64_t n_tensors, in_.take<uint64_t>());
    SABLE_TRY(const uint64_t n_keys, in_.take<uint64_t>());
    // The smallest tensor entry has 24 bytes, the smallest key entry 13.
    if (n_tensors > kTensorsMax || n_tensors > in_.left() / 24) {
      return corrupt(fmt::format("{} tensors do not fit into the file", n_tensors));
    }
    if (n_keys > kKeysMax || n_keys > in_.left() / 13) {
      return corrupt(fmt::format("{} metadata keys do not fit into the file", n_keys));
    }
    for (uint64_t i = 0; i < n_keys; ++i) {
      SABLE_TRY_VOID(key_value());
    }
    for (uint64_t i = 0; i < n_tensors; ++i) {
      SABLE_TRY_VOID(tensor_entry());
    }
    SABLE_TRY_VOID(place_tensors());
    return std::move(out_);
  }

 private:
  Result<void> key_value() {
    SABLE_TRY(std::string key, in_.string(kNameBytesMax));
    if (!keys_.insert(key).second)
      return corrupt("metadata key \"" + escape_controls(key) + "\" appears twice");
    SABLE_TRY(const uint32_t number, in_.take<uint32_t>());
    auto read = value(static_cast<GgufType>(number));
    if (!read) return fail_in("metadata key \"" + escape_controls(key) + "\"", read.error());
    out_.metadata.emplace_back(std::move(key), std::move(*read));
    return {};
  }

  Result<GgufValue> value(GgufType type) {
    GgufValue out{type, {}};
    if (type == GgufType::array) {
      SABLE_TRY(out.value, array());
    } else if (type == GgufType::string) {
      SABLE_TRY(out.value, in_.string(kTextBytesMax));
    } else if (is_float(type)) {
      SABLE_TRY(out.value, in_.number(type));
    } else if (scalar_bytes(type) != 0) {
      SABLE_TRY(out.value, in_.integer(type));
    } else {
      return corrupt(fmt::format("unknown type {}", static_cast<uint32_t>(type)));
    }
    return out;
  }

  Result<GgufArray> array() {
    GgufArray out;
    SABLE_TRY(const uint32_t number, in_.take<uint32_t>());
    SABLE_TRY(const uint64_t n, in_.take<uint64_t>());
    out.type = static_cast<GgufType>(number);
    const uint64_t each = out.type == GgufType::string ? 8 : scalar_bytes(out.type);
    if (each == 0) return corrupt(fmt::format("array of unsupported type {}", number));
    if (n > in_.left() / each) return Cursor::truncated();
    n_array_elements_ += n;
    if (n_array_elements_ > kArrayElementsMax) return corrupt("too many array elements");
    for (uint64_t i = 0; i < n; ++i) {
      if (out.type == GgufType::string) {
        SABLE_TRY(std::string text, in_.string(kTextBytesMax));
        out.strings.push_back(std::move(text));
      } else if (is_float(out.type)) {
        SABLE_TRY(const double x, in_.number(out.type));
        out.numbers.push_back(x);
      } else {
        SABLE_TRY(const int64_t x, in_.integer(out.type));
        out.integers.push_back(x);
      }
    }
    return out;
  }

  Result<void> tensor_entry() {
    SABLE_TRY(std::string name, in_.string(kNameBytesMax));
    if (!names_.insert(name).second)
      return corrupt("tensor \"" + escape_controls(name) + "\" appears twice");
    auto entry = tensor_facts();
    if (!entry) return fail_in("tensor \"" + escape_controls(name) + "\"", entry.error());
    entry->name = std::move(name);
    out_.tensors.push_back(std::move(*entry));
    return {};
  }

  Result<GgufTensor> tensor_facts() {
    GgufTensor out;
    SABLE_TRY(const uint32_t n_dims, in_.take<uint32_t>());
    if (n_dims > kDimsMax)
      return corrupt(fmt::format("{} dimensions (at most {})", n_dims, kDimsMax));
    uint64_t elements = 1;
    for (uint32_t i = 0; i < n_dims; ++i) {
      SABLE_TRY(const uint64_t dim, in_.take<uint64_t>());
      if (__builtin_mul_overflow(elements, dim, &elements) || elements > uint64_t{1} << 48) {
        return corrupt("the shape is absurdly large");
      }
      out.shape.insert(out.shape.begin(), dim);
    }
    SABLE_TRY(const uint32_t number, in_.take<uint32_t>());
    const auto* known = std::find_if(std::begin(kTypes), std::end(kTypes),
                                     [number](const TypeNumber& t) { return t.number == number; });
    if (known == std::end(kTypes)) {
      return fail(ErrorCode::unsupported, fmt::format("unsupported ggml type number {}", number));
    }
    out.type = known->type;
    const uint32_t block = block_of(out.type).elements;
    if ((out.shape.empty() ? 1 : out.shape.back()) % block != 0) {
      return corrupt(fmt::format("rows of {} elements do not fill blocks of {} ({})",
                                 out.shape.back(), block, name_of(out.type)));
    }
    SABLE_TRY(const uint64_t offset, in_.take<uint64_t>());
    offsets_.push_back(offset);
    return out;
  }

  /// The data starts at the next multiple of the alignment; offsets count from there.
  Result<void> place_tensors() {
    uint64_t alignment = kGgufAlignment;
    if (const auto given = out_.integer("general.alignment")) {
      if (*given < 1 || *given > 1 << 20 || !std::has_single_bit(static_cast<uint64_t>(*given))) {
        return corrupt(fmt::format("general.alignment {} is no sensible power of two", *given));
      }
      alignment = static_cast<uint64_t>(*given);
    }
    const auto pad = [alignment](uint64_t n) {
      return (n + alignment - 1) / alignment * alignment;
    };
    const uint64_t start = std::min<uint64_t>(pad(in_.at()), file_.size());
    const std::span<const std::byte> data = file_.subspan(start);
    uint64_t next = 0;  // files keep their tensors in order, back to back
    for (size_t i = 0; i < out_.tensors.size(); ++i) {
      GgufTensor& tensor = out_.tensors[i];
      const uint64_t size = gguf_tensor_bytes(tensor.type, tensor.shape), offset = offsets_[i];
      if (offset != next) {
        return corrupt(
            fmt::format("tensor \"{}\": offset {}, expected {} right after the tensor before",
                        escape_controls(tensor.name), offset, next));
      }
      if (offset > data.size() || size > data.size() - offset) {
        return corrupt(
            fmt::format("tensor \"{}\": {} bytes at offset {} end behind the {} bytes of data "
                        "(truncated file?)",
                        escape_controls(tensor.name), size, offset, data.size()));
      }
      tensor.bytes = data.subspan(offset, size);
      next = pad(offset + size);
    }
    if (data.size() > next) {
      return corrupt(
          fmt::format("{} bytes after the last tensor belong to none", data.size() - next));
    }
    return {};
  }

  std::span<const std::byte> file_;
  Cursor in_;
  Gguf out_;
  std::vector<uint64_t> offsets_;
  std::unordered_set<std::string> keys_, names_;
  uint64_t n_array_elements_ = 0;
};

}  // namespace

Result<Gguf> parse_gguf(std::span<const std::byte> file) { return Parser(file).parse(); }

uint64_t gguf_tensor_bytes(DType type, std::span<const uint64_t> shape) {
  uint64_t elements = 1;
  for (const uint64_t dim : shape) elements *= dim;
  return elements / block_of(type).elements * block_of(type).bytes;
}

std::optional<uint32_t> ggml_type_number(DType type) {
  for (const TypeNumber& known : kTypes) {
    if (known.type == type) return known.number;
  }
  return std::nullopt;
}

const GgufValue* Gguf::find(std::string_view key) const {
  for (const auto& [name, value] : metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

std::optional<int64_t> Gguf::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  const auto* found = value == nullptr ? nullptr : std::get_if<int64_t>(&value->value);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

std::optional<double> Gguf::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* whole = std::get_if<int64_t>(&value->value)) return static_cast<double>(*whole);
  const auto* found = std::get_if<double>(&value->value);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

std::optional<std::string> Gguf::text(std::string_view key) const {
  const GgufValue* value = find(key);
  const auto* found = value == nullptr ? nullptr : std::get_if<std::string>(&value->value);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

const GgufArray* Gguf::array(std::string_view key) const {
  const GgufValue* value = find(key);
  return value == nullptr ? nullptr : std::get_if<GgufArray>(&value->value);
}

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
    switch (scalar_bytes(type)) {
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
  writer.put(kMagic);
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
