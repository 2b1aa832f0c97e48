#include "tests/attack/attack_list.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <signal.h>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace sable::attack {

namespace {

using namespace std::chrono_literals;
using sandbox::End;
using sandbox::Limits;
using sandbox::Network;

constexpr uint64_t kMiB = uint64_t{1} << 20;

ListedAttack plain(const char* id, const char* what) {
  return {.id = id, .what = what, .trials = {{.run = id}}};
}

ListedAttack talking(const char* id, const char* what) {
  ListedAttack attack = plain(id, what);
  attack.by_choice_when_open = true;
  return attack;
}

ListedAttack exhausting(const char* id, const char* what, std::vector<Trial> trials) {
  return {.id = id,
          .what = what,
          .trials = std::move(trials),
          .outside = {{"PROCESSES_MAX", "600"},
                      {"MEMORY_MB", "256"},
                      {"PROCESSES", "1"},
                      {"FILL_MB", "48"},
                      {"SHM_FILES", "2"},
                      {"FILES", "20000"},
                      {"FLOOD_MB", "64"}}};
}

std::vector<ListedAttack> make_list() {
  std::vector<ListedAttack> list = {
      plain("F1",
            "write, append, create, remove outside, by absolute path; a FIFO in a readable folder"),
      plain("F2", "the same by `..` chains and from a working directory outside"),
      plain("F3", "symbolic links to files, folders, hidden files; a chain of 41"),
      plain("F4", "hard links, by path, descriptor and `/proc/self/fd`"),
      plain("F6", "mode, owner, times, attributes, access lists outside"),
      plain("F7", "truncate, fallocate, `O_TRUNC`, creat"),
      plain("F8", "rename and exchange across the border, both ways"),
      plain("F9", "keys, credentials, history, shadow, other homes, masked files"),
      plain("F10", "the agent's database, log and configuration"),
      plain("F11", "making devices, opening disks, memory and terminals"),
      plain("F12", "`/proc/*/root`, chroot and climb, file handles"),
      plain("P1", "hooks of the repository and of a nested one"),
      plain("P2", "configuration of both: append, replace, `git config`"),
      plain("P3", "renaming, removing, replacing the repository folder; a new pointer in it"),
      plain("P4", "settings of agents that exist; editor tasks that do not"),
      plain("P5", "shell start-up files"),
      plain("P6", "cron, at, user services, a daemon"),
      talking("N1", "TCP to public addresses"),
      talking("N2", "TCP to services of the host, four spellings of the address"),
      talking("N3", "UDP to resolvers and to a listener on the host"),
      talking("N4", "a name lookup that carries data"),
      plain("N5", "raw, packet, ICMP, SCTP, multipath TCP"),
      plain("N6", "netlink, vsock, bluetooth, crypto and other families"),
      plain("N7", "an abstract socket of the host"),
      plain("N8",
            "path sockets, one in a readable folder, one in the workspace; re-pointing a pair"),
      {.id = "N9",
       .what = "through the proxy: other hosts, bare addresses, metadata services, requests of two "
               "meanings",
       .trials = {{.run = "N9"}},
       .needs_proxy = true},
      plain("K1", "io_uring"),
      plain("K2", "ptrace, other processes' memory and descriptors"),
      plain("K3", "nested namespaces by unshare, clone, clone3, setns"),
      plain("K4", "mounting, remounting, unmounting a mask, the new mount calls"),
      plain("K5", "bpf, perf, userfaultfd, keyrings"),
      plain("K6", "modules, kexec, reboot, swap, clock, host name, kernel log"),
      plain("K7", "int 0x80 and x32 entries"),
      plain("K8", "typing into a terminal, with garbage in the upper register half"),
      plain("K9", "set-id programs and files, `/proc/sys`, sysrq, `/proc/kcore` and its kind"),
      plain("R1", "signals to the host's processes, the launcher, pid 1"),
      plain("R2", "listing the host's processes")};
  const Limits memory{.memory_bytes = 64 * kMiB};
  const Limits small{.memory_bytes = 64 * kMiB, .temporary_bytes = 16 * kMiB};
  list.push_back(
      exhausting("R3", "a fork bomb; the loop answers within 100 ms meanwhile",
                 {{.run = "R3", .limits = {.wall = 8s, .grace = 100ms, .processes = 100}}}));
  list.push_back(exhausting("R4",
                            "four times the memory limit, by one process, by eight, and in a "
                            "memory file that nobody maps",
                            {{.run = "R4",
                              .limits = memory,
                              .environment = {{"MEMORY_MB", "256"}, {"PROCESSES", "1"}},
                              .end = End::memory_limit},
                             {.run = "R4",
                              .limits = memory,
                              .environment = {{"MEMORY_MB", "32"}, {"PROCESSES", "8"}},
                              .end = End::memory_limit},
                             {.run = "R4-unmapped",
                              .limits = small,
                              .environment = {{"MEMORY_MB", "256"}},
                              .end = End::memory_limit}}));
  list.push_back(exhausting(
      "R5",
      "a huge file, full `/tmp` and `/dev/shm`, a million files in `/tmp`; a full disk in the "
      "workspace, also by a file without a name",
      {{.run = "R5", .limits = {.file_bytes = 8 * kMiB, .temporary_bytes = 32 * kMiB}},
       {.run = "R5-workspace", .limits = {.disk_bytes = 16 * kMiB}, .end = End::disk_limit},
       {.run = "R5-nameless", .limits = {.disk_bytes = 16 * kMiB}, .end = End::disk_limit}}));
  list.push_back(
      exhausting("R6", "ignoring SIGTERM past the deadline",
                 {{.run = "R6", .limits = {.wall = 500ms, .grace = 200ms}, .end = End::deadline}}));
  list.push_back(
      exhausting("R7", "a gibibyte of control sequences",
                 {{.run = "R7", .limits = {.output_bytes = kMiB}, .end = End::output_limit}}));
  list.push_back(exhausting(
      "R8", "outliving the runtime or the launcher, which is killed meanwhile",
      {{.run = "R8", .victim = Victim::runtime}, {.run = "R8", .victim = Victim::launcher}}));
  list.push_back(plain("R9", "inherited descriptors, environment, capabilities"));
  return list;
}

void add_once(std::vector<std::string>& list, std::string text) {
  if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(std::move(text));
}

// What must be said of these two beyond being stopped: the names that a call made anew.
void check_named(const ListedAttack& attack, const std::filesystem::path& workspace,
                 const sandbox::RunResult& result, Verdict& verdict) {
  std::vector<std::filesystem::path> expected;
  if (attack.id == "P3") expected = {workspace / "nested/deep/.git/commondir"};
  if (attack.id == "P4") expected = {workspace / ".envrc", workspace / ".vscode"};
  auto named = result.protected_changes;
  std::sort(named.begin(), named.end());
  if (named != expected) verdict.breaches.push_back("the new protected names are not those named");
  if (!expected.empty()) add_once(verdict.reasons, "what is new is named");
}

void check_proxy(const sandbox::RunResult& result, Verdict& verdict) {
  if (result.network_decisions.size() < 15) verdict.breaches.push_back("not all is written down");
  for (const auto& decision : result.network_decisions) {
    if (decision.allowed) verdict.breaches.push_back("let through: " + decision.host);
  }
}

void judge(const ListedAttack& attack, const Trial& trial, AttackHost& host,
           const AttackOutcome& outcome, Verdict& verdict) {
  verdict.output += outcome.run.output + outcome.run.errors;
  verdict.longest_stall = std::max(verdict.longest_stall, outcome.longest_stall);
  for (const auto& damage : outcome.host_damage) verdict.breaches.push_back(damage);
  if (!outcome.run.result) {
    verdict.breaches.push_back("no result: " + outcome.run.result.error().message);
    return;
  }
  const auto& result = *outcome.run.result;
  if (result.end != trial.end) {
    verdict.breaches.push_back("its end: " + std::string(sandbox::name_of(result.end)) + " " +
                               result.explanation);
  }
  if (trial.end != End::exited) {
    if (result.explanation.empty()) verdict.breaches.push_back("no reason is given");
    add_once(verdict.reasons, result.explanation);
    return;
  }
  const size_t before = verdict.breaches.size();
  read_attempts(outcome.run.output, verdict);
  if (result.exit_code != 0 && verdict.breaches.size() == before) {
    verdict.breaches.push_back("exit status " + std::to_string(result.exit_code));
  }
  check_named(attack, host.runner().folder().path(), result, verdict);
  if (attack.needs_proxy) check_proxy(result, verdict);
}

bool becomes_true(const std::function<bool()>& fact) {
  for (int tries = 0; tries < 3000; ++tries) {
    if (fact()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

// A child makes the call, so that what is killed is not us; its folders lie in one of ours.
void kill_meanwhile(const Trial& trial, Spawn spawn, Network network, const std::string& launcher,
                    Verdict& verdict) {
  constexpr int kProcesses = 3;  // of the attack
  const test::TemporaryFolder folders;
  const std::string marker = test::unique_marker() + "-killed";
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("TMPDIR", folders.path().c_str(), 1);
    AttackHost host(launcher);
    host.run(trial.run, spawn, network, trial.limits, {{"MARKER", marker}});
    ::_exit(0);
  }
  const bool begun = becomes_true([&] { return test::processes_with(marker) >= kProcesses; });
  const pid_t its_launcher = test::launcher_of(child);
  const bool of_runtime = trial.victim == Victim::runtime;
  ::kill(of_runtime || its_launcher < 0 ? child : its_launcher, SIGKILL);
  const bool gone = becomes_true([&] { return test::processes_with(marker) == 0; });
  const bool ended = becomes_true([&] { return ::waitpid(child, nullptr, WNOHANG) != 0; });
  if (!ended) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  const std::string victim = of_runtime ? "the runtime" : "the launcher";
  if (!begun) verdict.breaches.push_back("it never ran, so killing " + victim + " shows nothing");
  if (!gone) verdict.breaches.push_back("it outlived " + victim);
  if (!ended) verdict.breaches.push_back("the call never ended after " + victim + " was killed");
  if (of_runtime && its_launcher > 0 &&
      !becomes_true([&] { return !test::is_alive(its_launcher); })) {
    verdict.breaches.push_back("the launcher outlived the runtime");
  }
  ++verdict.n_attempts;
  add_once(verdict.reasons, "nothing is alive when " + victim + " is gone");
}

}  // namespace

std::span<const ListedAttack> listed_attacks() {
  static const std::vector<ListedAttack> kList = make_list();
  return kList;
}

bool applies(const ListedAttack& attack, Network network) {
  if (attack.needs_proxy) return network == Network::allow;
  return network != Network::open || !attack.by_choice_when_open;
}

void read_attempts(const std::string& output, Verdict& verdict) {
  constexpr std::string_view kStopped = "stopped ", kBreach = "BREACH ";
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    const size_t reason = line.rfind(": ");
    if (line.rfind(kStopped, 0) == 0 && reason != std::string::npos) {
      ++verdict.n_attempts;
      const auto text = line.substr(reason + 2);
      const auto what = line.substr(kStopped.size(), reason - kStopped.size());
      add_once(verdict.reasons, text == "holds" ? what : text);
    } else if (line.rfind(kBreach, 0) == 0) {
      ++verdict.n_attempts;
      verdict.breaches.push_back(line.substr(kBreach.size()));
    }
  }
}

Verdict try_attack(const ListedAttack& attack, Spawn spawn, Network network,
                   const std::string& launcher) {
  Verdict verdict;
  for (const auto& trial : attack.trials) {
    if (trial.victim != Victim::nobody) {
      kill_meanwhile(trial, spawn, network, launcher, verdict);
      continue;
    }
    AttackHost host(launcher);
    const auto outcome = host.run(trial.run, spawn, network, trial.limits, trial.environment);
    judge(attack, trial, host, outcome, verdict);
  }
  return verdict;
}

std::string name_of(Network network) {
  constexpr const char* kNames[] = {"none", "loopback", "allow", "open"};
  return kNames[static_cast<size_t>(network)];
}

}  // namespace sable::attack
