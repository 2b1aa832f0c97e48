#include "tests/attack/attack_host.h"

#include <arpa/inet.h>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <catch2/catch.hpp>

#include "base/child_process.h"

namespace sable::attack {

namespace {

namespace fs = std::filesystem;

UniqueFd listen_internet(int type, int& port) {
  UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port = ntohs(address.sin_port);
  if (type == SOCK_STREAM) REQUIRE(::listen(fd.get(), 8) == 0);
  return fd;
}

// "@name": an abstract address.
UniqueFd listen_unix(const std::string& name) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(name.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(fd.get(), 8) == 0);
  return fd;
}

void make_repository(const test::TemporaryFolder& folder, const std::string& at) {
  folder.write(at + ".git/hooks/pre-commit", "#!/bin/sh\nexit 0\n");
  folder.write(at + ".git/config", "[core]\n\trepositoryformatversion = 0\n");
  folder.write(at + ".git/HEAD", "ref: refs/heads/main\n");
  folder.write(at + ".git/objects/.keep", "");
  folder.write(at + ".git/refs/heads/.keep", "");
}

// Content, mode, owner and time of one path, as text.
std::string facts_of(const fs::path& path) {
  struct stat seen {};
  if (::lstat(path.c_str(), &seen) != 0) return "missing";
  std::string facts = std::to_string(seen.st_mode) + " " + std::to_string(seen.st_uid) + " " +
                      std::to_string(seen.st_mtim.tv_sec) + " " + std::to_string(seen.st_nlink) +
                      " ";
  if (S_ISREG(seen.st_mode)) {
    std::ifstream in(path, std::ios::binary);
    facts.append(std::istreambuf_iterator<char>(in), {});
  }
  return facts;
}

}  // namespace

AttackHost::AttackHost(const std::string& launcher)
    : runner_(launcher),
      tcp_(listen_internet(SOCK_STREAM, tcp_port_)),
      udp_(listen_internet(SOCK_DGRAM, udp_port_)),
      abstract_name_("sable-canary-" + std::to_string(::getpid())) {
  readable_.write("file", "readable");
  REQUIRE(::mkfifo((readable_ / "fifo").c_str(), 0666) == 0);
  stream_ = listen_unix((readable_ / "socket").string());
  abstract_ = listen_unix("@" + abstract_name_);
  for (const char* name :
       {"file", "sable.db", "sable.db-wal", "log", "config.yaml", ".ssh/id_ed25519"}) {
    hidden_.write(name, "secret");
  }
  const auto& workspace = runner_.folder();
  make_repository(workspace, "");
  make_repository(workspace, "nested/deep/");
  workspace.write(".sable/config.yaml", "approve: ask\n");
  workspace.write("masked-file", "secret");
  planted_ = listen_unix((workspace / "socket").string());
}

std::map<std::string, std::string> AttackHost::record() const {
  std::map<std::string, std::string> facts;
  const auto add_tree = [&](const fs::path& root) {
    facts[root] = facts_of(root);
    // An attack that got through may have left no folder there.
    std::error_code error;
    for (fs::recursive_directory_iterator entry(root, error), end; !error && entry != end;
         entry.increment(error))
      facts[entry->path()] = facts_of(entry->path());
  };
  add_tree(readable_.path());
  add_tree(hidden_.path());
  const auto& workspace = runner_.folder();
  for (const char* tree : {".git/hooks", "nested/deep/.git/hooks", ".sable"})
    add_tree(workspace / tree);
  for (const char* file : {".git/config", "nested/deep/.git/config", "masked-file"}) {
    facts[workspace / file] = facts_of(workspace / file);
  }
  for (const char* file : {"/etc/passwd", "/usr/bin/env", "/tmp/x"}) facts[file] = facts_of(file);
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  facts["host name"] = name;
  return facts;
}

std::vector<std::string> AttackHost::heard() const {
  std::vector<std::string> heard;
  const std::pair<const UniqueFd*, const char*> listeners[] = {
      {&tcp_, "the TCP service"},
      {&stream_, "the socket in the readable folder"},
      {&abstract_, "the abstract socket"},
      {&planted_, "the socket in the workspace"}};
  for (const auto& [fd, name] : listeners) {
    const UniqueFd peer(::accept4(fd->get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (peer) heard.push_back(std::string(name) + " was reached");
  }
  char byte = 0;
  if (::recv(udp_.get(), &byte, 1, 0) >= 0) heard.push_back("the UDP service was reached");
  return heard;
}

asio::awaitable<Result<sandbox::RunResult>> AttackHost::call(Spawn spawn, sandbox::Policy policy,
                                                             sandbox::Command command,
                                                             sandbox::OutputSink sink) {
  if (spawn == Spawn::fresh) {
    auto result =
        co_await runner_.box().run(std::move(policy), std::move(command), std::move(sink));
    co_return result;
  }
  SABLE_CO_TRY(const auto session, co_await runner_.box().open_session(std::move(policy)));
  // Not the first call of its session: what one leaves must not help the next.
  sandbox::Command first{.argv = {"true"}};
  auto before = co_await session->run(std::move(first), {});
  auto result = co_await session->run(std::move(command), std::move(sink));
  co_await session->close();
  if (!before) co_return before;
  co_return result;
}

// What the attacking program is told by its environment.
std::map<std::string, std::string> AttackHost::facts_for(sandbox::Network network,
                                                         const std::string& marker) const {
  constexpr const char* kModes[] = {"none", "loopback", "allow", "open"};
  const passwd* user = ::getpwuid(::geteuid());
  return {{"READABLE", readable_.path()},
          {"HIDDEN", hidden_.path()},
          {"REAL_HOME", user == nullptr ? "/root" : user->pw_dir},
          {"MODE", kModes[static_cast<size_t>(network)]},
          {"TCP_PORT", std::to_string(tcp_port_)},
          {"UDP_PORT", std::to_string(udp_port_)},
          {"ABSTRACT", abstract_name_},
          {"HOST_PID", std::to_string(::getpid())},
          {"LAUNCHER_PID", std::to_string(test::launcher_of(::getpid()))},
          {"MARKER", marker}};
}

void AttackHost::look_for_damage(const std::map<std::string, std::string>& before,
                                 AttackOutcome& outcome) {
  for (const auto& [path, facts] : record()) {
    const auto old = before.find(path);
    if (old == before.end()) {
      outcome.host_damage.push_back(path + " appeared");
    } else if (old->second != facts) {
      outcome.host_damage.push_back(path + " changed");
    }
  }
  for (auto& line : heard()) outcome.host_damage.push_back(std::move(line));
  if (test::processes_with(outcome.marker) != 0)
    outcome.host_damage.push_back("a process stayed alive");
}

AttackOutcome AttackHost::run(const std::string& id, Spawn spawn, sandbox::Network network,
                              sandbox::Limits limits,
                              std::map<std::string, std::string> environment) {
  AttackOutcome outcome{.marker = test::unique_marker()};
  environment.merge(facts_for(network, outcome.marker));
  const std::string program = std::string(SABLE_BINARY_DIR) + "/attacker";
  sandbox::Policy policy{.readable = {readable_.path(), program},
                         .writable = {runner_.folder().path()},
                         .masked = {runner_.folder() / "masked-file"},
                         .network = network,
                         .allowed_hosts = {{.name = "allowed.invalid", .port = 443}},
                         .environment = std::move(environment),
                         .limits = limits};
  const auto before = record();

  asio::io_context loop;
  const auto sink = [&](sandbox::Stream, std::string_view bytes) {
    if (outcome.run.output.size() < 100'000) outcome.run.output += bytes;
  };
  bool over = false;
  asio::co_spawn(loop, call(spawn, std::move(policy), {.argv = {program, id}}, sink),
                 [&](const std::exception_ptr& failure, Result<sandbox::RunResult> result) {
                   if (failure) std::rethrow_exception(failure);
                   outcome.run.result = std::move(result);
                   over = true;
                 });
  auto last = std::chrono::steady_clock::now();
  while (!over) {
    loop.run_one_for(std::chrono::milliseconds(5));
    const auto now = std::chrono::steady_clock::now();
    outcome.longest_stall = std::max(
        outcome.longest_stall, std::chrono::duration_cast<std::chrono::milliseconds>(now - last));
    last = now;
  }
  look_for_damage(before, outcome);
  return outcome;
}

AttackOutcome AttackHost::run_under_bubblewrap(const std::string& id,
                                               const std::map<std::string, std::string>& given,
                                               std::chrono::milliseconds patience) {
  AttackOutcome outcome{.marker = test::unique_marker()};
  const std::string program = std::string(SABLE_BINARY_DIR) + "/attacker";
  const auto& workspace = runner_.folder();
  const std::string root = workspace.path(), readable = readable_.path();
  std::vector<std::string> argv = {"/usr/bin/bwrap", "--unshare-all", "--die-with-parent",
                                   "--new-session",  "--cap-drop",    "ALL",
                                   "--ro-bind",      "/usr",          "/usr",
                                   "--symlink",      "usr/bin",       "/bin",
                                   "--symlink",      "usr/sbin",      "/sbin",
                                   "--symlink",      "usr/lib",       "/lib",
                                   "--symlink",      "usr/lib64",     "/lib64"};
  const auto add = [&](std::initializer_list<std::string> more) {
    argv.insert(argv.end(), more.begin(), more.end());
  };
  for (const char* setting :
       {"/etc/alternatives", "/etc/ld.so.cache", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf"})
    add({"--ro-bind-try", setting, setting});
  add({"--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run", "--dir",
       "/tmp/home", "--ro-bind", readable, readable, "--ro-bind", program, program, "--bind", root,
       root});
  for (const char* held :
       {".git/hooks", ".git/config", "nested/deep/.git/hooks", "nested/deep/.git/config", ".sable"})
    add({"--ro-bind", workspace / held, workspace / held});
  add({"--ro-bind", "/dev/null", workspace / "masked-file", "--chdir", root, "--", program, id});

  auto facts = facts_for(sandbox::Network::none, outcome.marker);
  for (const auto& [name, value] : given) facts[name] = value;
  facts["HOME"] = "/tmp/home";
  facts["PATH"] = "/usr/bin:/bin:/usr/sbin:/sbin";
  std::vector<std::string> environment;
  for (const auto& [name, value] : facts) environment.push_back(name + "=" + value);
  const auto before = record();
  int pipe[2] = {-1, -1};
  REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
  const UniqueFd near(pipe[0]);
  UniqueFd far(pipe[1]);
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  auto child = ChildProcess::start({.argv = argv,
                                    .environment = environment,
                                    .working_directory = root,
                                    .stdin_fd = null.get(),
                                    .stdout_fd = far.get(),
                                    .stderr_fd = far.get()});
  REQUIRE(child);
  far.reset();
  char buffer[4096];
  pollfd waited{.fd = near.get(), .events = POLLIN, .revents = 0};
  for (ssize_t n = 1; n > 0;) {
    if (::poll(&waited, 1, static_cast<int>(patience.count())) <= 0) {
      outcome.host_damage.emplace_back("it ran on until it was killed from outside");
      REQUIRE(child->signal(SIGKILL));
      break;
    }
    n = ::read(near.get(), buffer, sizeof buffer);
    if (n > 0) outcome.run.output.append(buffer, static_cast<size_t>(n));
    // What it says of itself comes last.
    if (outcome.run.output.size() > 200'000) {
      outcome.run.output.erase(0, outcome.run.output.size() - 100'000);
    }
  }
  const auto status = child->wait();
  REQUIRE(status);
  outcome.run.result = sandbox::RunResult{
      .end = status->signal != 0 ? sandbox::End::signalled : sandbox::End::exited,
      .exit_code = status->exit_code,
      .signal = status->signal};
  (void)test::all_gone(outcome.marker);  // it has a moment, which ours do not get
  look_for_damage(before, outcome);
  return outcome;
}

}  // namespace sable::attack
