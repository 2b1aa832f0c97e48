// Any bytes are a file of tools or a refusal that names its place.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "tools/tools.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sable::tools::Registry registry;
  registry.use_profiles([](const std::string&) { return sable::sandbox::Policy{}; });
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto added = registry.add_yaml(text, "t"); !added) {
    SABLE_CHECK(added.error().message.starts_with("t:"));
    SABLE_CHECK(registry.list().empty());
  }
  return 0;
}
