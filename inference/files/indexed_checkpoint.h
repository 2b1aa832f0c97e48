// What every container shares: tensors by name over mapped files, checked against the
// configuration.
#pragma once

#include <unordered_map>
#include <vector>

#include "inference/files/checkpoint.h"
#include "inference/files/mapped_file.h"

namespace sable::inference {

/// Holds the files and the tensors; containers fill it and call index_and_validate() once.
class IndexedCheckpoint : public Checkpoint {
 public:
  const Tensor* find(std::string_view official_name) const override;
  const std::vector<Tensor>& tensors() const override { return tensors_; }
  uint64_t file_bytes() const override;
  int64_t modified() const override;
  Result<uint64_t> resident_bytes() const override;
  void release(const Tensor& tensor) const override;
  void evict(const Tensor& tensor) const override;
  void prefetch(const Tensor& tensor) const override;
  void populate(const std::stop_token& stop) const override;

 protected:
  /// Builds the index (duplicates are refused), drops MTP blocks that are not there, and compares
  /// every tensor with the inventory of config_: present, shape, type fit for its role, none left
  /// over.
  Result<void> index_and_validate();

  std::vector<MappedFile> files_;
  std::vector<Tensor> tensors_;

 private:
  Result<void> build_index();
  void drop_absent_mtp();

  std::unordered_map<std::string_view, size_t> index_;  // names live in tensors_
};

/// `path` is a folder of safetensors or its config.json.
Result<std::unique_ptr<Checkpoint>> open_safetensors_checkpoint(const std::filesystem::path& path);

/// `path` is a GGUF file.
Result<std::unique_ptr<Checkpoint>> open_gguf_checkpoint(const std::filesystem::path& path);

}  // namespace sable::inference
