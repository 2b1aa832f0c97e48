// Any bytes as a GGUF file; what parses is opened as a model, and every row of a model is decoded.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

#include "inference/files/checkpoint.h"
#include "inference/files/gguf.h"
#include "inference/files/gguf_config.h"

using namespace sable::inference;

namespace {

void decode_all(const Checkpoint& model) {
  for (const Tensor& tensor : model.tensors()) {
    const uint64_t rows = tensor.shape.size() < 2 ? 1 : tensor.rows(),
                   cols = tensor.n_elements() / rows;
    std::vector<float> row(cols);
    for (uint64_t r = 0; r < rows; ++r) dequantize_row(tensor, r, row);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const auto gguf = parse_gguf({bytes, size});
  if (!gguf) return 0;
  for (const GgufTensor& tensor : gguf->tensors) {
    if (tensor.bytes.data() < bytes || tensor.bytes.data() + tensor.bytes.size() > bytes + size)
      std::abort();
  }
  (void)tokenizer_arrays_from_gguf(*gguf);
  if (!config_from_gguf(*gguf)) return 0;
  static const std::filesystem::path kFile = std::filesystem::temp_directory_path() /
                                             ("fuzz_gguf." + std::to_string(::getpid()) + ".gguf");
  std::ofstream(kFile, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  if (const auto model = Checkpoint::open(kFile)) decode_all(**model);
  std::filesystem::remove(kFile);
  return 0;
}
