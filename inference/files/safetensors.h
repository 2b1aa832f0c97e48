// The safetensors container: a JSON header that names tensors, then their bytes.
// Source: huggingface/safetensors README, "Format".
#pragma once

#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference/files/mapped_file.h"
#include "inference/files/tensor.h"

namespace sable::inference {

/// One tensor as the header describes it. `shape` counts stored elements (an official FP4 weight is
/// I8 [out, in/2] here).
struct StoredTensor {
  std::string name;
  DType type;
  std::vector<uint64_t> shape;
  std::span<const std::byte> bytes;
};

/// Parses and validates a whole file image: header length, JSON without duplicate names, known
/// dtypes, sizes without overflow, byte ranges that tile the data exactly (no overlap, no hole,
/// nothing left over). Views point into `file`. Errors (corrupt) name the tensor; the caller adds
/// the file.
Result<std::vector<StoredTensor>> parse_safetensors(std::span<const std::byte> file);

/// An index file: which shard holds each tensor, in the order of the file.
/// {"metadata": ..., "weight_map": {"tensor": "shard.safetensors", ...}}. Shard names are plain
/// file names; duplicate tensors are refused.
struct ShardEntry {
  std::string tensor;
  std::string file;
};
Result<std::vector<ShardEntry>> parse_safetensors_index(std::string_view text);

/// The header of a file with these tensors back to back in this order, padded with spaces to a
/// multiple of 8 bytes, its length in front. `bytes` of each entry is ignored; sizes follow from
/// type and shape. `type` must be one that safetensors has a name for; f4_e2m1 is written as I8
/// with half the columns.
std::string safetensors_header(std::span<const StoredTensor> tensors);

/// Bytes of one stored tensor, from type and shape.
uint64_t stored_bytes(const StoredTensor& tensor);

}  // namespace sable::inference
