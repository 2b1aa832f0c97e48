// Any text as config.json: refused, or a configuration that survives being written and read again.
#include <cstdint>
#include <cstdlib>

#include "inference/files/model_arithmetic.h"

using namespace sable;
using namespace sable::inference;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = parse_json({reinterpret_cast<const char*>(data), size});
  if (!json) return 0;
  const auto config = config_from_json(*json);
  if (!config) return 0;
  const Json written = config_to_json(*config);
  const auto again = config_from_json(written);
  if (!again || config_to_json(*again) != written) std::abort();
  (void)cache_bytes(*config, uint64_t{1} << 30, CacheStorage::packed);
  if (config->num_hidden_layers * config->n_routed_experts > 4096)
    return 0;  // correct, but slow to walk
  (void)count_parameters(*config);
  (void)flops_per_token(*config, uint64_t{1} << 30);
  return 0;
}
