// The host that is attacked: folders with canaries, listeners that must hear nothing, and a record
// of everything that must be the same afterwards.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "sandbox/sandbox.h"
#include "tests/unit/sandbox/sandbox_runner.h"

namespace sable::attack {

/// How the sandbox of a call comes to be.
enum class Spawn { fresh, session };

struct AttackOutcome {
  test::Outcome run;
  std::vector<std::string> host_damage;        ///< what changed on the host, or who heard something
  std::chrono::milliseconds longest_stall{0};  ///< of the loop, while the attack ran
  std::string marker;
};

class AttackHost {
 public:
  explicit AttackHost(const std::string& launcher = "sable-launcher");

  /// Runs one attack of the attacking program under the default policy with this network and these
  /// limits.
  AttackOutcome run(const std::string& id, Spawn spawn, sandbox::Network network,
                    sandbox::Limits limits = {},
                    std::map<std::string, std::string> environment = {});

  /// Runs one attack under bubblewrap instead, set up as far as its options go: all namespaces of
  /// their own, no capabilities, a built view, the repositories' hooks and settings read-only.
  /// `facts` go to the attacking program besides. It is killed after `patience`; of what it prints
  /// the last 100,000 bytes are kept.
  AttackOutcome run_under_bubblewrap(const std::string& id,
                                     const std::map<std::string, std::string>& facts = {},
                                     std::chrono::milliseconds patience = std::chrono::seconds(20));

  test::SandboxRunner& runner() { return runner_; }

 private:
  asio::awaitable<Result<sandbox::RunResult>> call(Spawn spawn, sandbox::Policy policy,
                                                   sandbox::Command command,
                                                   sandbox::OutputSink sink);
  std::map<std::string, std::string> facts_for(sandbox::Network network,
                                               const std::string& marker) const;
  void look_for_damage(const std::map<std::string, std::string>& before, AttackOutcome& outcome);
  std::map<std::string, std::string> record() const;
  std::vector<std::string> heard() const;

  test::SandboxRunner runner_;
  test::TemporaryFolder readable_, hidden_;
  UniqueFd tcp_, udp_, stream_, abstract_, planted_;
  int tcp_port_ = 0, udp_port_ = 0;
  std::string abstract_name_;
};

}  // namespace sable::attack
