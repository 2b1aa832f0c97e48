#include "inference/files/safetensors.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <unordered_set>

#include <fmt/format.h>

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "inference/files/number_formats.h"

namespace sable::inference {

namespace {

constexpr uint64_t kHeaderBytesMax = 100'000'000;  // as the reference implementation
constexpr size_t kDimsMax = 8;

struct HeaderEntry {
  std::string name;
  std::optional<std::string> dtype;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> offsets;
  bool has_shape = false, has_offsets = false;
};

/// Collects the header through nlohmann's SAX interface: a document object would find duplicate
/// keys too late and keep 100,000 tensors in a list that is searched linearly. Any event out of
/// place ends the parse with `error`.
class HeaderSax {
 public:
  using number_integer_t = int64_t;
  using number_unsigned_t = uint64_t;
  using number_float_t = double;
  using string_t = std::string;
  using binary_t = Json::binary_t;

  std::vector<HeaderEntry> entries;
  std::string error;

  bool start_object(size_t) {
    ++depth_;
    if (depth_ == 1 || (depth_ == 2 && !in_array_)) return true;
    return stop("an object where none belongs");
  }
  bool end_object() {
    --depth_;
    if (depth_ == 1) in_metadata_ = false;
    return true;
  }
  bool start_array(size_t) {
    std::vector<uint64_t>* numbers = array();
    if (depth_ != 2 || in_array_ || in_metadata_ || numbers == nullptr) {
      return stop("an array where none belongs");
    }
    if (key_ == "shape") entries.back().has_shape = true;
    if (key_ == "data_offsets") entries.back().has_offsets = true;
    numbers->clear();
    in_array_ = true;
    return true;
  }
  bool end_array() {
    in_array_ = false;
    return true;
  }
  bool key(std::string& key) {
    if (depth_ == 1) {
      if (!names_.insert(key).second) return stop("\"" + escape_controls(key) + "\" appears twice");
      in_metadata_ = key == "__metadata__";
      if (!in_metadata_) entries.push_back({.name = key});
    }
    key_ = key;
    return true;
  }
  bool string(std::string& value) {
    if (depth_ == 2 && in_metadata_ && !in_array_) return true;  // free text for people
    if (depth_ != 2 || in_metadata_ || in_array_ || key_ != "dtype") return stop("unexpected text");
    entries.back().dtype = value;
    return true;
  }
  bool number_unsigned(uint64_t value) {
    if (!in_array_) return stop("unexpected number");
    std::vector<uint64_t>* numbers = array();
    if (numbers->size() >= kDimsMax) return stop("too many numbers in " + key_);
    numbers->push_back(value);
    return true;
  }
  bool number_integer(int64_t value) { return stop(fmt::format("negative number {}", value)); }
  bool number_float(double, const std::string& text) {
    return stop("not an integer: " + text.substr(0, 40));
  }
  bool boolean(bool) { return stop("unexpected boolean"); }
  bool null() { return stop("unexpected null"); }
  bool binary(binary_t&) { return stop("unexpected binary"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    return stop(fmt::format("invalid JSON at byte {}", position));
  }

 private:
  bool stop(std::string reason) {
    error = std::move(reason);
    if (!entries.empty())
      error = "tensor \"" + escape_controls(entries.back().name) + "\": " + error;
    return false;
  }
  std::vector<uint64_t>* array() {
    if (entries.empty()) return nullptr;
    if (key_ == "shape") return &entries.back().shape;
    if (key_ == "data_offsets") return &entries.back().offsets;
    return nullptr;
  }

  std::unordered_set<std::string> names_;
  std::string key_;
  int depth_ = 0;
  bool in_metadata_ = false, in_array_ = false;
};

std::optional<DType> type_named(std::string_view name) {
  if (name == "F32") return DType::f32;
  if (name == "F16") return DType::f16;
  if (name == "BF16") return DType::bf16;
  if (name == "I8") return DType::i8;
  if (name == "I32") return DType::i32;
  if (name == "I64") return DType::i64;
  if (name == "F8_E4M3") return DType::f8_e4m3;
  if (name == "F8_E8M0" || name == "U8") return DType::f8_e8m0;  // some writers know no E8M0
  return std::nullopt;
}

/// shape's product times the element size, or nothing when it overflows.
std::optional<uint64_t> byte_size(const std::vector<uint64_t>& shape, uint64_t element_bytes) {
  uint64_t n = element_bytes;
  for (const uint64_t dim : shape) {
    if (__builtin_mul_overflow(n, dim, &n)) return std::nullopt;
  }
  return n;
}

Result<StoredTensor> tensor_from(HeaderEntry&& entry, std::span<const std::byte> data) {
  const auto wrong = [&entry](std::string reason) {
    return fail(ErrorCode::corrupt,
                "tensor \"" + escape_controls(entry.name) + "\": " + std::move(reason));
  };
  if (!entry.dtype || !entry.has_shape || entry.offsets.size() != 2) {
    return wrong("the header must give dtype, shape and two data_offsets");
  }
  const auto type = type_named(*entry.dtype);
  if (!type)
    return wrong("unsupported dtype \"" + escape_controls(entry.dtype->substr(0, 40)) + "\"");
  const uint64_t begin = entry.offsets[0], end = entry.offsets[1];
  if (begin > end || end > data.size()) {
    return wrong(fmt::format("bytes {}..{} lie outside the {} bytes of data (truncated file?)",
                             begin, end, data.size()));
  }
  const auto size = byte_size(entry.shape, block_of(*type).bytes);
  if (!size) return wrong("the shape overflows 64 bits");
  if (*size != end - begin) {
    return wrong(
        fmt::format("shape and dtype need {} bytes, the header gives {}", *size, end - begin));
  }
  return StoredTensor{std::move(entry.name), *type, std::move(entry.shape),
                      data.subspan(begin, end - begin)};
}

/// Every byte of the data belongs to exactly one tensor.
Result<void> check_tiling(const std::vector<StoredTensor>& tensors,
                          std::span<const std::byte> data) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&tensors](size_t a, size_t b) {
    const auto& x = tensors[a].bytes;
    const auto& y = tensors[b].bytes;
    return x.data() != y.data() ? x.data() < y.data() : x.size() < y.size();
  });
  const std::byte* next = data.data();
  for (const size_t i : order) {
    const StoredTensor& tensor = tensors[i];
    if (tensor.bytes.data() != next) {
      return fail(
          ErrorCode::corrupt,
          fmt::format("tensor \"{}\": its bytes {} the tensor before", escape_controls(tensor.name),
                      tensor.bytes.data() < next ? "overlap" : "leave a hole behind"));
    }
    next += tensor.bytes.size();
  }
  if (next != data.data() + data.size()) {
    return fail(ErrorCode::corrupt, fmt::format("{} bytes after the last tensor belong to none",
                                                data.data() + data.size() - next));
  }
  return {};
}

}  // namespace

Result<std::vector<StoredTensor>> parse_safetensors(std::span<const std::byte> file) {
  if (file.size() < 8) return fail(ErrorCode::corrupt, "too short for a safetensors header");
  const auto header_bytes = load_le<uint64_t>(file.data());
  if (header_bytes > kHeaderBytesMax || header_bytes > file.size() - 8) {
    return fail(ErrorCode::corrupt,
                fmt::format("a header of {} bytes does not fit (file {} bytes, limit {})",
                            header_bytes, file.size(), kHeaderBytesMax));
  }
  const std::string_view header(reinterpret_cast<const char*>(file.data() + 8), header_bytes);
  const std::span<const std::byte> data = file.subspan(8 + header_bytes);
  HeaderSax sax;
  try {
    if (!header.starts_with('{') ||
        !nlohmann::json::sax_parse(header.begin(), header.end(), &sax)) {
      return fail(ErrorCode::corrupt,
                  "safetensors header: " + (sax.error.empty() ? "not a JSON object" : sax.error));
    }
  } catch (const std::exception& error) {  // the library's seam: out-of-range numbers and the like
    return fail(ErrorCode::corrupt, fmt::format("safetensors header: {}", error.what()));
  }
  std::vector<StoredTensor> tensors;
  tensors.reserve(sax.entries.size());
  for (HeaderEntry& entry : sax.entries) {
    SABLE_TRY(auto tensor, tensor_from(std::move(entry), data));
    tensors.push_back(std::move(tensor));
  }
  SABLE_TRY_VOID(check_tiling(tensors, data));
  return tensors;
}

namespace {

/// Collects the text values of "weight_map" and skips everything else.
class IndexSax {
 public:
  using number_integer_t = int64_t;
  using number_unsigned_t = uint64_t;
  using number_float_t = double;
  using string_t = std::string;
  using binary_t = Json::binary_t;

  std::vector<ShardEntry> entries;
  std::string error;
  bool found = false;

  bool start_object(size_t) {
    ++depth_;
    if (depth_ == 2 && key_ == "weight_map") {
      if (found) return stop("\"weight_map\" appears twice");
      found = in_map_ = true;
    } else if (in_map_) {
      return stop("an object inside \"weight_map\"");
    }
    return depth_ <= 64 || stop("nested too deeply");
  }
  bool end_object() {
    if (depth_-- == 2) in_map_ = false;
    return true;
  }
  bool start_array(size_t) {
    ++depth_;
    return (!in_map_ && depth_ <= 64) || stop("an array where none belongs");
  }
  bool end_array() {
    --depth_;
    return true;
  }
  bool key(std::string& key) {
    if (in_map_ && !names_.insert(key).second)
      return stop("tensor \"" + escape_controls(key) + "\" appears twice");
    key_ = key;
    return true;
  }
  bool string(std::string& value) {
    if (!in_map_) return true;
    const bool plain = !value.empty() && value != "." && value != ".." && value.size() <= 255 &&
                       value.find('/') == std::string::npos &&
                       value.find('\0') == std::string::npos;
    if (!plain) {
      return stop("tensor \"" + escape_controls(key_) + "\": \"" +
                  escape_controls(value.substr(0, 80)) + "\" is not a plain file name");
    }
    entries.push_back({key_, value});
    return true;
  }
  bool number_unsigned(uint64_t) { return scalar(); }
  bool number_integer(int64_t) { return scalar(); }
  bool number_float(double, const std::string&) { return scalar(); }
  bool boolean(bool) { return scalar(); }
  bool null() { return scalar(); }
  bool binary(binary_t&) { return scalar(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    return stop(fmt::format("invalid JSON at byte {}", position));
  }

 private:
  bool scalar() {
    return !in_map_ || stop("\"weight_map\" holds something that is not a file name");
  }
  bool stop(std::string reason) {
    error = std::move(reason);
    return false;
  }

  std::unordered_set<std::string> names_;
  std::string key_;
  int depth_ = 0;
  bool in_map_ = false;
};

}  // namespace

Result<std::vector<ShardEntry>> parse_safetensors_index(std::string_view text) {
  IndexSax sax;
  try {
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &sax))
      return fail(ErrorCode::corrupt, sax.error);
  } catch (const std::exception& error) {
    return fail(ErrorCode::corrupt, error.what());
  }
  if (!sax.found) return fail(ErrorCode::corrupt, "no \"weight_map\"");
  return std::move(sax.entries);
}

uint64_t stored_bytes(const StoredTensor& tensor) {
  const auto size = byte_size(tensor.shape, block_of(tensor.type).bytes);
  SABLE_CHECK(size.has_value());
  return *size / block_of(tensor.type).elements;
}

std::string safetensors_header(std::span<const StoredTensor> tensors) {
  std::string json = R"({"__metadata__":{"format":"pt"})";
  uint64_t offset = 0;
  for (const StoredTensor& tensor : tensors) {
    const bool packed = tensor.type == DType::f4_e2m1;
    std::vector<uint64_t> shape = tensor.shape;
    if (packed) shape.back() /= 2;
    const uint64_t end = offset + stored_bytes(tensor);
    json += fmt::format(",{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        dump_json(Json(tensor.name)), packed ? "I8" : name_of(tensor.type),
                        fmt::join(shape, ","), offset, end);
    offset = end;
  }
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');
  std::string out(8, '\0');
  store_le(reinterpret_cast<std::byte*>(out.data()), static_cast<uint64_t>(json.size()));
  return out + json;
}

}  // namespace sable::inference
