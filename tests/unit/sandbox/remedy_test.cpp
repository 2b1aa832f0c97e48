// What people are told when a machine cannot enforce: each step and layer names what would help.
#include <cerrno>
#include <cstring>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "sandbox/landlock_layer.h"
#include "sandbox/landlock_rights.h"
#include "sandbox/namespace_remedy.h"
#include "sandbox/planner.h"
#include "sandbox/step_text.h"

using namespace sable;
using namespace sable::sandbox;
using Catch::Contains;

TEST_CASE("of limited namespaces the very setting is named that limits them") {
  NamespaceSettings settings{.most = {{"user", 100}, {"mnt", 100}, {"net", 0}}};
  CHECK_THAT(namespace_remedy(settings, {"user", "mnt"}, ENOSPC),
             Contains("user.max_user_namespaces (100), user.max_mnt_namespaces (100)"));
  CHECK_THAT(namespace_remedy(settings, {"user", "net"}, ENOSPC),
             Contains("user.max_net_namespaces is 0"));
  settings.unprivileged_clone = 0;
  CHECK_THAT(namespace_remedy(settings, {"user"}, EPERM),
             Contains("kernel.unprivileged_userns_clone is 0") && Contains("set it to 1"));
  settings.unprivileged_clone = 1;
  settings.apparmor_restricts = 1;
  CHECK_THAT(namespace_remedy(settings, {"user"}, EACCES),
             Contains("kernel.apparmor_restrict_unprivileged_userns is 1"));
  settings.root = true;  // whom neither of the two binds
  settings.unprivileged_clone = 0;
  CHECK_THAT(namespace_remedy(settings, {"user"}, EPERM), Contains("container"));
  CHECK_THAT(namespace_remedy(settings, {"user"}, EINVAL), Contains("CONFIG_USER_NS"));
  CHECK_FALSE(namespace_settings().most.empty());
}

TEST_CASE("where namespaces are forbidden the probe and the first call name the setting") {
  int pipe[2] = {-1, -1};
  REQUIRE(::pipe(pipe) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    // A namespace of our own, whose limits we may set.
    const std::string user = std::to_string(::geteuid()), group = std::to_string(::getegid());
    if (::unshare(CLONE_NEWUSER) != 0) ::_exit(77);
    const auto write = [](const char* file, const std::string& text) {
      FILE* out = std::fopen(file, "w");
      return out != nullptr && std::fputs(text.c_str(), out) >= 0 && std::fclose(out) == 0;
    };
    if (!write("/proc/self/setgroups", "deny") ||
        !write("/proc/self/uid_map", user + " " + user + " 1") ||
        !write("/proc/self/gid_map", group + " " + group + " 1") ||
        !write("/proc/sys/user/max_user_namespaces", "0")) {
      ::_exit(77);
    }
    std::string told;
    for (const auto& layer : probe_layers()) {
      if (layer.state == Layer::State::missing) told += layer.name + ": " + layer.remedy + "\n";
    }
    const auto started = Sandbox::start(std::string(SABLE_BINARY_DIR) + "/sable-launcher");
    told += "start: " + (started ? "it did" : started.error().message) + "\n";
    ::_exit(write_all(pipe[1], told) ? 0 : 1);
  }
  ::close(pipe[1]);
  std::string told;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(pipe[0], buffer, sizeof buffer)) > 0;)
    told.append(buffer, static_cast<size_t>(n));
  ::close(pipe[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    WARN("no user namespace to try it in");
    return;
  }
  INFO(told);
  CHECK(status == 0);
  for (const char* name :
       {"user namespaces", "mount namespaces", "process namespaces", "network namespaces"}) {
    CHECK_THAT(told, Contains(std::string(name) + ": user.max_user_namespaces is 0"));
  }
  CHECK_THAT(told, Contains("start: sandbox: step create_namespaces failed: ") &&
                       Contains("user.max_user_namespaces is 0"));
}

TEST_CASE("every step that can fail has a name and says what failed") {
  std::vector<std::string> names;
  for (auto step = static_cast<uint32_t>(Step::none); step <= static_cast<uint32_t>(Step::last);
       ++step) {
    const std::string name(name_of(static_cast<Step>(step)));
    CHECK(std::find(names.begin(), names.end(), name) == names.end());
    names.push_back(name);
    const auto error = explain_failure({.step = static_cast<Step>(step), .error = EPERM}, {},
                                       {.arguments = {"prog"}, .working_directory = "/w"});
    INFO(name);
    CHECK_FALSE(error.message.empty());
    if (step < static_cast<uint32_t>(Step::enter_working_directory)) {
      CHECK_THAT(error.message, Contains("step " + name + " failed: " + std::strerror(EPERM)));
    }
  }
}

TEST_CASE("the failure of each layer says what the machine lacks") {
  const std::pair<Step, const char*> steps[] = {
      {Step::create_namespaces, "namespaces"},
      {Step::private_mounts, "allow the mount system calls"},
      {Step::clone_mount, "allow the mount system calls"},
      {Step::restrict_mount, "Linux 5.12"},
      {Step::mount_overlay, "CONFIG_OVERLAY_FS"},
      {Step::mount_process_folder, "unmasked /proc"},
      {Step::mount_terminal_folder, "CONFIG_UNIX98_PTYS"},
      {Step::forbid_namespaces, "user.max_*_namespaces"},
      {Step::limit_processes, "Linux 6.14"},
      {Step::limit_memory, "memory cgroup"},
      {Step::change_root, "chroot"},
      {Step::landlock_rules, "lsm="},
      {Step::landlock_restrict, "lsm="},
      {Step::install_filter, "CONFIG_SECCOMP_FILTER"},
      {Step::create_process, "limit of processes"}};
  for (const auto& [step, words] : steps) {
    const auto error = explain_failure({.step = step, .error = EINVAL}, {});
    INFO(name_of(step));
    CHECK(error.code == ErrorCode::unsupported);
    CHECK_THAT(error.message, Contains(words));
  }
  Plan plan;
  plan.view = {{.target = "/one"}, {.target = "/two\x1b"}};
  const auto about =
      explain_failure({.step = Step::source_changed, .error = ESTALE, .index = 1}, plan);
  CHECK(about.code == ErrorCode::invalid_input);
  CHECK_THAT(about.message, Contains("for \"/two\\x1b\" failed") && Contains("replaced"));
}

// The kernel's documentation of Landlock lists which ABI brought which right.
TEST_CASE("what is asked of Landlock is what its ABI knows, from 1 to 6 and beyond") {
  struct Known {
    int abi;
    uint64_t files, network, scopes;
    const char* lacks;
  };
  const Known known[] = {
      {1, 0x1fff, 0, 0,
       "no rules for truncating, TCP, device controls, signals and abstract sockets"},
      {2, 0x3fff, 0, 0, "no rules for truncating, TCP, device controls, signals"},
      {3, 0x7fff, 0, 0, "no rules for TCP, device controls, signals"},
      {4, 0x7fff, 3, 0, "no rules for device controls, signals"},
      {5, 0xffff, 3, 0, "no rules for signals and abstract sockets:"},
      {6, 0xffff, 3, 3, ""},
      {7, 0xffff, 3, 3, ""}};
  for (const auto& [abi, files, network, scopes, lacks] : known) {
    INFO(abi);
    Host host{.user = 1000, .group = 1000, .landlock_abi = abi, .own_pid_max = true};
    host.look_up = [](const std::filesystem::path&) { return PathFacts{}; };
    host.look_up_system = [](const std::string&) { return PathFacts{}; };
    const auto plan = make_plan({}, host);
    REQUIRE(plan);
    CHECK(plan->landlock_files == files);
    CHECK(plan->landlock_network == network);
    CHECK(plan->landlock_scopes == scopes);
    const auto open = make_plan({.network = Network::loopback}, host);
    REQUIRE(open);
    CHECK(open->landlock_network == 0);
    const Layer layer = landlock_layer(abi, 0);
    CHECK(layer.state == (*lacks == '\0' ? Layer::State::enforced : Layer::State::degraded));
    CHECK_THAT(layer.detail, Contains(lacks) && Contains("ABI " + std::to_string(abi)));
    CHECK(layer.remedy.empty() == (*lacks == '\0'));
  }
  CHECK_THAT(landlock_layer(1, 0).detail, Contains("renamed or linked"));
  CHECK_THAT(landlock_layer(2, 0).detail, !Contains("renamed or linked"));
  CHECK(landlock_layer(0, 0).state == Layer::State::missing);
  CHECK_THAT(landlock_layer(0, EOPNOTSUPP).remedy, Contains("lsm="));
}
