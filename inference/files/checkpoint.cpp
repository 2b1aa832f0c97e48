#include "inference/files/checkpoint.h"

#include "inference/files/indexed_checkpoint.h"

namespace sable::inference {

Result<std::unique_ptr<Checkpoint>> Checkpoint::open(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    return fail(ErrorCode::not_found, "no such model: " + path.string());
  }
  if (std::filesystem::is_directory(status) || path.filename() == "config.json") {
    return open_safetensors_checkpoint(path);
  }
  if (path.extension() == ".gguf") return open_gguf_checkpoint(path);
  return fail(ErrorCode::unsupported,
              path.string() + " is not a model: expected a folder with config.json or a GGUF file");
}

}  // namespace sable::inference
