// Any bytes as a safetensors file, and as an index: refused, or tensors that lie inside the file.
#include <cstdint>
#include <cstdlib>

#include "inference/files/safetensors.h"

using namespace sable::inference;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  if (const auto tensors = parse_safetensors({bytes, size})) {
    for (const StoredTensor& tensor : *tensors) {
      if (tensor.bytes.data() < bytes || tensor.bytes.data() + tensor.bytes.size() > bytes + size)
        std::abort();
      if (stored_bytes(tensor) != tensor.bytes.size()) std::abort();
    }
  }
  (void)parse_safetensors_index({reinterpret_cast<const char*>(data), size});
  return 0;
}
