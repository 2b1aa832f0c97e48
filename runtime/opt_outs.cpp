#include "runtime/opt_outs.h"

#include <cstdio>

#include "base/text.h"

namespace sable::runtime {

std::vector<std::string> opt_outs(const config::LoadedConfig& loaded,
                                  const sandbox::Policy& policy) {
  std::vector<std::string> sentences;
  if (loaded.no_sandbox) {
    sentences.push_back("NO SANDBOX: commands run with all your rights (--no-sandbox)");
  }
  if (policy.network == sandbox::Network::open) {
    sentences.push_back("OPEN NETWORK: commands may talk to any address (" +
                        loaded.config.sandbox.network.origin.text() + ")");
  }
  return sentences;
}

void warn_of(const std::vector<std::string>& opt_outs) {
  for (const auto& sentence : opt_outs) {
    std::fprintf(stderr, "sable: %s\n", escape_controls(sentence).c_str());
  }
}

}  // namespace sable::runtime
