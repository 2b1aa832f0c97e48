// attacker ID: tries one attack of the table in docs/sandbox.md and says how it went. Exit status
// 0: every attempt was stopped; 1: one was not; 2: no such attack.
#include <cstdio>

#include "tests/attack/attempts.h"

int main(int argc, char** argv) {
  using namespace sable::attack;
  if (argc < 2) return 2;
  for (const auto& table : {file_attacks(), persistence_attacks(), network_attacks(),
                            kernel_attacks(), resource_attacks()}) {
    const auto found = table.find(argv[1]);
    if (found == table.end()) continue;
    Attempts attempts;
    found->second(attempts);
    std::printf("%d attempts, %d breaches\n", attempts.count(), attempts.breaches());
    return attempts.breaches() == 0 && attempts.count() > 0 ? 0 : 1;
  }
  std::printf("no attack %s\n", argv[1]);
  return 2;
}
