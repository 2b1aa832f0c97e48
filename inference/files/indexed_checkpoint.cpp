#include "inference/files/indexed_checkpoint.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "inference/files/number_formats.h"
#include "inference/files/tensor_inventory.h"

namespace sable::inference {

namespace {

tl::unexpected<Error> wrong(std::string_view tensor, std::string reason) {
  return fail(ErrorCode::corrupt,
              fmt::format("tensor \"{}\": {}", escape_controls(tensor), reason));
}

bool plain_float(DType type) {
  return type == DType::f32 || type == DType::f16 || type == DType::bf16;
}

bool fits(DType type, const TensorSpec& spec) {
  const bool integer = type == DType::i64 || type == DType::i32;
  if (spec.role == TensorRole::table) return integer;
  if (spec.role == TensorRole::norm || spec.shape.size() < 2) return plain_float(type);
  return !integer && type != DType::i8 && type != DType::f8_e8m0;
}

/// A token id -> expert table steers memory access, so its numbers are checked before use.
Result<void> check_table(const Tensor& table, int64_t n_experts) {
  const uint64_t n = table.n_elements();
  const bool wide = table.type == DType::i64;
  for (uint64_t i = 0; i < n; ++i) {
    const std::byte* at = table.bytes.data() + i * (wide ? 8 : 4);
    const int64_t expert = wide ? load_le<int64_t>(at) : load_le<int32_t>(at);
    if (expert < 0 || expert >= n_experts) {
      return wrong(table.name, fmt::format("token {} is routed to expert {}, the model has {}",
                                           i / table.cols(), expert, n_experts));
    }
  }
  return {};
}

/// A block's elements must fill whole rows, and the bytes must be all of them.
Result<void> check_layout(const Tensor& tensor) {
  const BlockShape block = block_of(tensor.type);
  const uint64_t cols = tensor.shape.size() < 2 ? tensor.n_elements() : tensor.cols();
  if (cols % block.elements != 0) {
    return wrong(tensor.name,
                 fmt::format("rows of {} elements cannot be stored as {} (blocks of {})", cols,
                             name_of(tensor.type), block.elements));
  }
  if (tensor.bytes.size() != tensor.n_elements() / block.elements * block.bytes) {
    return wrong(tensor.name,
                 fmt::format("{} bytes stored, shape and type need {}", tensor.bytes.size(),
                             tensor.n_elements() / block.elements * block.bytes));
  }
  return {};
}

Result<void> check_tensor(const Tensor& tensor, const TensorSpec& spec, int64_t n_experts) {
  if (tensor.shape != spec.shape) {
    return wrong(spec.name,
                 fmt::format("shape [{}], the configuration asks for [{}]",
                             fmt::join(tensor.shape, ", "), fmt::join(spec.shape, ", ")));
  }
  if (!fits(tensor.type, spec)) {
    return wrong(spec.name, fmt::format("{} is no type for this tensor", name_of(tensor.type)));
  }
  SABLE_TRY_VOID(check_layout(tensor));
  if (spec.role == TensorRole::table) return check_table(tensor, n_experts);
  return {};
}

/// Copies of the shared embedding and head that some files carry for the MTP block.
bool redundant(std::string_view name) {
  return name.starts_with("mtp.") &&
         (name.find("emb") != std::string_view::npos || name.ends_with(".head.weight"));
}

}  // namespace

const Tensor* IndexedCheckpoint::find(std::string_view official_name) const {
  const auto it = index_.find(official_name);
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

uint64_t IndexedCheckpoint::file_bytes() const {
  uint64_t total = 0;
  for (const MappedFile& file : files_) total += file.bytes().size();
  return total;
}

int64_t IndexedCheckpoint::modified() const {
  int64_t last = 0;
  for (const MappedFile& file : files_) last = std::max(last, file.modified());
  return last;
}

Result<uint64_t> IndexedCheckpoint::resident_bytes() const {
  uint64_t total = 0;
  for (const MappedFile& file : files_) {
    SABLE_TRY(const uint64_t bytes, file.resident_bytes());
    total += bytes;
  }
  return total;
}

void IndexedCheckpoint::release(const Tensor& tensor) const { MappedFile::release(tensor.bytes); }

void IndexedCheckpoint::evict(const Tensor& tensor) const { MappedFile::evict(tensor.bytes); }

void IndexedCheckpoint::prefetch(const Tensor& tensor) const { MappedFile::prefetch(tensor.bytes); }

void IndexedCheckpoint::populate(const std::stop_token& stop) const {
  constexpr size_t kPart = size_t{16} << 20;  // whole huge pages, read in a fraction of a second
  for (const MappedFile& file : files_) {
    for (std::span<const std::byte> rest = file.bytes(); !rest.empty();) {
      if (stop.stop_requested()) return;
      const size_t n = std::min(rest.size(), kPart);
      MappedFile::populate(rest.first(n));
      rest = rest.subspan(n);
    }
  }
}

Result<void> IndexedCheckpoint::build_index() {
  index_.clear();
  index_.reserve(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (!index_.emplace(tensors_[i].name, i).second)
      return wrong(tensors_[i].name, "appears twice");
  }
  return {};
}

void IndexedCheckpoint::drop_absent_mtp() {
  // A block is told by its input projections; drafters of another kind keep other tensors under
  // "mtp.".
  int64_t present = 0;
  while (present < config_.num_nextn_predict_layers &&
         (index_.contains(fmt::format("mtp.{}.e_proj.weight", present)) ||
          index_.contains(fmt::format("mtp.{}.h_proj.weight", present)))) {
    ++present;
  }
  config_.num_nextn_predict_layers = present;
  config_.compress_ratios.resize(static_cast<size_t>(config_.num_hidden_layers + present));
  std::erase_if(tensors_, [present](const Tensor& tensor) {
    return redundant(tensor.name) || (present == 0 && tensor.name.starts_with("mtp."));
  });
}

Result<void> IndexedCheckpoint::index_and_validate() {
  SABLE_TRY_VOID(build_index());
  drop_absent_mtp();
  SABLE_TRY_VOID(build_index());
  std::vector<bool> expected(tensors_.size());
  SABLE_TRY_VOID(for_each_tensor(config_, [&](const TensorSpec& spec) -> Result<void> {
    const auto it = index_.find(spec.name);
    if (it == index_.end()) return wrong(spec.name, "missing");
    expected[it->second] = true;
    return check_tensor(tensors_[it->second], spec, config_.n_routed_experts);
  }));
  const auto extra = std::find(expected.begin(), expected.end(), false);
  if (extra != expected.end()) {
    const auto at = static_cast<size_t>(extra - expected.begin());
    return wrong(tensors_[at].name, "not part of a DeepSeek-V4 model of this configuration");
  }
  return {};
}

}  // namespace sable::inference
