#include "sandbox/planner.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "base/text.h"
#include "sandbox/landlock_rights.h"

namespace sable::sandbox {

namespace {

namespace fs = std::filesystem;

constexpr const char* kHome = "/tmp/home";

// Programs and libraries. A link is shown as the link that it is.
constexpr const char* kSystemFolders[] = {"/usr",   "/bin",   "/sbin",  "/lib",
                                          "/lib32", "/lib64", "/libx32"};

// What programs need of /etc; the rest, with every secret in it, is not in the view.
constexpr const char* kSettings[] = {
    "/etc/alternatives", "/etc/ld.so.cache",     "/etc/passwd",    "/etc/group",
    "/etc/localtime",    "/etc/nsswitch.conf",   "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
    "/etc/os-release",   "/etc/java-17-openjdk", "/etc/fonts",     "/etc/python3.11"};
constexpr const char* kNetworkSettings[] = {"/etc/hosts", "/etc/services", "/etc/protocols"};
constexpr const char* kOpenNetworkSettings[] = {"/etc/resolv.conf", "/etc/host.conf",
                                                "/etc/gai.conf"};

constexpr const char* kDevices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                    "/dev/urandom"};

// What /proc tells about the machine rather than about a process, and is of no use to a tool.
// (/proc is read-only as a whole, and without capabilities some of these refuse anyhow.)
constexpr const char* kCoveredProcessFiles[] = {
    "/proc/kcore",    "/proc/kmsg",    "/proc/keys",      "/proc/key-users",
    "/proc/kallsyms", "/proc/cmdline", "/proc/interrupts"};
// What only its owner may read: root's sandboxed programs are that owner.
constexpr const char* kCoveredFromRoot[] = {"/proc/kpagecount",  "/proc/kpageflags",
                                            "/proc/kpagecgroup", "/proc/vmallocinfo",
                                            "/proc/slabinfo",    "/proc/timer_list"};

// Made, bound or replaced by the view itself: no policy may put something of the host there.
constexpr const char* kReserved[] = {"/proc", "/sys", "/dev"};
constexpr const char* kPrivateFolders[] = {"/tmp", "/run", "/dev/shm", "/var/tmp"};
constexpr const char* kReplaced[] = {"/tmp", "/run", "/var", "/var/tmp"};

// Of absolute paths in their normal form, as text: plans are made for every call.
bool is_below_or_same(std::string_view path, std::string_view root) {
  if (root == "/") return true;
  return path.substr(0, root.size()) == root &&
         (path.size() == root.size() || path[root.size()] == '/');
}

// Without "." and "..", and without a "/" at its end.
fs::path normal(const fs::path& path) {
  fs::path result = path.lexically_normal();
  return result.has_filename() || !result.has_relative_path() ? result : result.parent_path();
}

std::string in_quotes(const fs::path& path) { return "\"" + escape_controls(path.string()) + "\""; }

class ViewPlanner {
 public:
  ViewPlanner(const Policy& policy, const Host& host, const ProtectedPaths& held)
      : policy_(policy), host_(host), held_(held) {}

  Result<std::vector<ViewEntry>> plan() {
    add_system();
    SABLE_TRY_VOID(resolve_roots());
    // Shallow first, so that a readable piece of a writable root (or the reverse) lies on top of
    // it.
    std::stable_sort(roots_.begin(), roots_.end(), [](const Root& a, const Root& b) {
      return a.path.native().size() < b.path.native().size();
    });
    for (const auto& root : roots_) add_root_bind(root);
    add_protected();
    SABLE_TRY_VOID(add_masks());
    return std::move(entries_);
  }

  /// After plan().
  std::vector<std::string> writable_roots() const {
    std::vector<std::string> paths;
    for (const auto& root : roots_) {
      if (root.access == Access::write) paths.push_back(root.path.string());
    }
    return paths;
  }

 private:
  struct Root {
    fs::path path;
    Access access;
    PathFacts facts;
    fs::path store;  ///< of its transaction, if it has one
  };

  void add(ViewEntry entry) {
    if (entry.kind == ViewKind::bind || entry.kind == ViewKind::overlay ||
        entry.kind == ViewKind::process_folder) {
      bound_.insert(entry.target);
    } else {
      made_.insert(entry.target);
    }
    entries_.push_back(std::move(entry));
  }

  void add_directory(std::string path, Access access = Access::none, uint32_t mode = 0755) {
    add({.kind = ViewKind::directory, .access = access, .target = std::move(path), .mode = mode});
  }

  // Makes what is missing above a mount point. Below a bind of the host everything exists already.
  void add_parents(const std::string& path) {
    std::vector<std::string> missing;
    std::string parent = path.substr(0, path.rfind('/'));
    while (!parent.empty() && made_.count(parent) == 0 && !is_bound(parent)) {
      missing.push_back(parent);
      parent.resize(parent.rfind('/'));
    }
    for (auto it = missing.rbegin(); it != missing.rend(); ++it) add_directory(std::move(*it));
  }

  // It, or a folder above it.
  bool is_bound(std::string path) const {
    while (!path.empty()) {
      if (bound_.count(path) != 0) return true;
      path.resize(path.rfind('/'));
    }
    return false;
  }

  void add_bind(const std::string& target, const std::string& source, Access access,
                const PathFacts& facts) {
    add_parents(target);
    if (made_.count(target) == 0 && !is_bound(target)) {
      if (facts.kind == PathFacts::Kind::folder) {
        add_directory(target);
      } else {
        add({.kind = ViewKind::empty_file, .target = target});
      }
    }
    add({.kind = ViewKind::bind,
         .access = access,
         .target = target,
         .source = source,
         .device = facts.device,
         .inode = facts.inode});
  }

  // Landlock's grants reach down: below /tmp, which a call may write, a folder that may only be
  // read would be writable as far as Landlock goes, and its FIFOs are not held by the mount. So it
  // is mounted elsewhere and shown through a link.
  void add_root_bind(const Root& root) {
    const std::string& path = root.path.native();
    const bool in_private =
        std::any_of(std::begin(kPrivateFolders), std::end(kPrivateFolders),
                    [&](const char* folder) { return is_below_or_same(path, folder); });
    if (root.access == Access::write || !in_private || is_bound(path)) {
      add_bind(path, path, root.access, root.facts);
      if (!root.store.empty()) {
        entries_.back().kind = ViewKind::overlay;
        entries_.back().store = root.store.string();
      }
      return;
    }
    const std::string place = "/readable/" + std::to_string(moved_.size() + 1);
    moved_.emplace_back(path, place);
    add_bind(place, path, root.access, root.facts);
    add_parents(path);
    add({.kind = ViewKind::symlink, .target = path, .source = place});
  }

  // A piece of the system as it lies there: a link stays a link when what it leads to is in the
  // view.
  void add_system_piece(const char* path, Access access = Access::read) {
    const PathFacts facts = host_.look_up_system(path);
    if (facts.kind != PathFacts::Kind::folder && facts.kind != PathFacts::Kind::file) return;
    if (!facts.link_text.empty() && is_below_or_same(facts.canonical.native(), "/usr")) {
      add_parents(path);
      add({.kind = ViewKind::symlink, .target = path, .source = facts.link_text});
      return;
    }
    if (!facts.link_text.empty() || facts.first_link.empty()) {
      add_bind(path, facts.canonical.native(), access, facts);
    }
  }

  void add_system() {
    add_directory("/", Access::list);
    for (const char* folder : kSystemFolders) add_system_piece(folder);
    // One right for all of /etc: nothing but these pieces is there.
    add_directory("/etc", Access::read);
    for (const char* piece : kSettings) add_system_piece(piece, Access::none);
    if (policy_.network != Network::none) {
      for (const char* piece : kNetworkSettings) add_system_piece(piece, Access::none);
    }
    if (policy_.network == Network::open) {
      for (const char* piece : kOpenNetworkSettings) add_system_piece(piece, Access::none);
    }
    for (const char* folder : kPrivateFolders) {
      add_parents(folder);
      add({.kind = ViewKind::private_folder,
           .access = Access::write,
           .target = folder,
           .mode = 01777});
    }
    add_directory(kHome, Access::none, 0700);
    for (const char* device : kDevices) {
      const PathFacts facts = host_.look_up_system(device);
      if (facts.kind == PathFacts::Kind::device) add_bind(device, device, Access::device, facts);
    }
    add_directory("/dev/pts");  // empty without a terminal
    const std::pair<const char*, const char*> links[] = {{"/dev/ptmx", "pts/ptmx"},
                                                         {"/dev/fd", "/proc/self/fd"},
                                                         {"/dev/stdin", "/proc/self/fd/0"},
                                                         {"/dev/stdout", "/proc/self/fd/1"},
                                                         {"/dev/stderr", "/proc/self/fd/2"}};
    for (const auto& [target, source] : links) {
      add({.kind = ViewKind::symlink, .target = target, .source = source});
    }
    add_directory("/proc");
    add({.kind = ViewKind::process_folder, .access = Access::read, .target = "/proc"});
    for (const char* file : kCoveredProcessFiles) cover_process_file(file);
    if (host_.user == 0) {
      for (const char* file : kCoveredFromRoot) cover_process_file(file);
    }
  }

  void cover_process_file(const char* file) {
    if (host_.look_up_system(file).kind != PathFacts::Kind::missing) {
      add({.kind = ViewKind::cover_file, .target = file});
    }
  }

  // The place of a path on the host, with links resolved by us, now. A link that a sandboxed
  // program could have put there is refused instead of followed.
  Result<PathFacts> resolve(const fs::path& path, const char* what) const {
    if (!path.is_absolute()) {
      return fail(ErrorCode::invalid_input,
                  std::string(what) + " path " + in_quotes(path) + " is not absolute");
    }
    PathFacts facts = host_.look_up(normal(path));
    if (facts.first_link.empty()) return facts;
    for (const auto& writable : policy_.writable) {
      const fs::path root = normal(writable);
      if (is_below_or_same(facts.first_link.native(), root.native()) && facts.first_link != root) {
        return fail(ErrorCode::invalid_input, std::string(what) + " path " + in_quotes(path) +
                                                  " goes through the symbolic link " +
                                                  in_quotes(facts.first_link) +
                                                  ", which lies in a writable folder");
      }
    }
    return facts;
  }

  Result<void> check_place(const fs::path& given, const PathFacts& facts, const char* what) const {
    const fs::path& path = facts.canonical;
    if (path == "/") {
      return fail(ErrorCode::invalid_input, std::string(what) + " path " + in_quotes(given) +
                                                ": the whole file system cannot be granted");
    }
    for (const char* reserved : kReserved) {
      if (is_below_or_same(path.native(), reserved)) {
        return fail(ErrorCode::invalid_input, std::string(what) + " path " + in_quotes(given) +
                                                  ": everything below " + reserved +
                                                  " belongs to the sandbox itself");
      }
    }
    for (const char* replaced : kReplaced) {
      if (path == replaced) {
        return fail(ErrorCode::invalid_input, std::string(what) + " path " + in_quotes(given) +
                                                  ": each call has its own " + replaced);
      }
    }
    return {};
  }

  Result<void> resolve_roots() {
    for (const auto& path : policy_.readable) {
      SABLE_TRY(const auto facts, resolve(path, "readable"));
      if (facts.kind == PathFacts::Kind::missing || facts.kind == PathFacts::Kind::unreadable)
        continue;
      SABLE_TRY_VOID(check_place(path, facts, "readable"));
      if (facts.kind != PathFacts::Kind::folder && facts.kind != PathFacts::Kind::file) {
        return fail(ErrorCode::invalid_input,
                    "readable path " + in_quotes(path) + " is neither a folder nor a regular file");
      }
      add_root(facts, Access::read);
    }
    for (const auto& path : policy_.writable) {
      SABLE_TRY(const auto facts, resolve(path, "writable"));
      if (facts.kind == PathFacts::Kind::missing) {
        return fail(ErrorCode::invalid_input,
                    "writable path " + in_quotes(path) + " does not exist");
      }
      if (facts.kind != PathFacts::Kind::folder && facts.kind != PathFacts::Kind::file) {
        return fail(ErrorCode::invalid_input, "writable path " + in_quotes(path) +
                                                  " is not a folder or regular file we can open");
      }
      SABLE_TRY_VOID(check_place(path, facts, "writable"));
      add_root(facts, Access::write);
      const auto transaction = policy_.transactions.find(path);
      if (transaction == policy_.transactions.end()) {
        if (policy_.files == FileEffects::direct) continue;
        return fail(ErrorCode::invalid_input,
                    "the policy keeps changes apart, and nothing does for " + in_quotes(path) +
                        "; no command may run");
      }
      SABLE_TRY(const auto store, resolve_store(facts.canonical, transaction->second));
      for (auto& root : roots_) {
        if (root.path == facts.canonical) root.store = store;
      }
    }
    for (const auto& [root, unused] : policy_.transactions) {
      if (std::find(policy_.writable.begin(), policy_.writable.end(), root) ==
          policy_.writable.end()) {
        return fail(ErrorCode::invalid_input, "the transaction's folder " + in_quotes(root) +
                                                  " is none of the writable ones");
      }
    }
    return {};
  }

  Result<fs::path> resolve_store(const fs::path& root, const fs::path& store) const {
    SABLE_TRY(const auto facts, resolve(store, "transaction's"));
    if (facts.kind != PathFacts::Kind::folder ||
        is_below_or_same(facts.canonical.native(), root.native())) {
      return fail(ErrorCode::invalid_input, "the transaction's store " + in_quotes(store) +
                                                " is no folder, or lies below what it is for");
    }
    for (const auto& writable : policy_.writable) {
      if (is_below_or_same(facts.canonical.native(), normal(writable).native())) {
        return fail(ErrorCode::invalid_input, "the transaction's store " + in_quotes(store) +
                                                  " lies below a writable folder");
      }
    }
    return facts.canonical;
  }

  // The same path twice: the wider grant wins.
  void add_root(const PathFacts& facts, Access access) {
    for (auto& root : roots_) {
      if (root.path != facts.canonical) continue;
      root.access = std::max(root.access, access);
      return;
    }
    roots_.push_back({facts.canonical, access, facts, {}});
  }

  // Over the writable roots, parents first. What the policy grants by its exact path stays granted.
  void add_protected() {
    for (const auto& [path, held] : held_) {
      if (held.hold == ProtectedPath::Hold::watched || !is_writable(path) || is_root(path))
        continue;
      // The root it lies in is bound, so its place exists.
      const bool pinned = held.hold == ProtectedPath::Hold::pinned;
      add({.kind = ViewKind::bind,
           .access = pinned ? Access::write : Access::none,
           .target = path,
           .source = path,
           .device = held.device,
           .inode = held.inode});
    }
  }

  bool is_root(const std::string& path) const {
    return std::any_of(roots_.begin(), roots_.end(),
                       [&](const Root& root) { return root.path.native() == path; });
  }

  // The deepest root that holds the path decides; they are sorted by length.
  bool is_writable(const std::string& path) const {
    const auto deepest = std::find_if(roots_.rbegin(), roots_.rend(), [&](const Root& root) {
      return is_below_or_same(path, root.path.native());
    });
    return deepest != roots_.rend() && deepest->access == Access::write;
  }

  Result<void> add_masks() {
    for (const auto& path : policy_.masked) {
      SABLE_TRY(const auto facts, resolve(path, "masked"));
      if (facts.kind == PathFacts::Kind::missing) continue;
      const std::string& target = facts.canonical.native();
      const auto kind =
          facts.kind == PathFacts::Kind::folder ? ViewKind::cover_folder : ViewKind::cover_file;
      if (is_bound(target)) add({.kind = kind, .target = target});
      for (const auto& [root, place] : moved_) {
        if (!is_below_or_same(target, root)) continue;
        add({.kind = kind, .target = place + target.substr(root.size())});
      }
    }
    return {};
  }

  const Policy& policy_;
  const Host& host_;
  const ProtectedPaths& held_;
  std::vector<ViewEntry> entries_;
  std::unordered_set<std::string> made_, bound_;
  std::vector<Root> roots_;
  std::vector<std::pair<std::string, std::string>> moved_;  ///< roots that lie elsewhere, and where
};

Result<std::vector<std::string>> environment_of(const Policy& policy) {
  auto variables = fixed_environment();
  if (policy.network == Network::allow) {
    const std::string proxy = "http://127.0.0.1:" + std::to_string(kProxyPort);
    for (const char* name : {"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"}) {
      variables[name] = proxy;
    }
    variables["no_proxy"] = variables["NO_PROXY"] = "127.0.0.1,localhost,::1";
  }
  for (const auto& [name, value] : policy.environment) {
    if (name.empty() || name.find('=') != std::string::npos ||
        name.find('\0') != std::string::npos || value.find('\0') != std::string::npos) {
      return fail(ErrorCode::invalid_input,
                  "the environment variable \"" + escape_controls(name) + "\" cannot be passed on");
    }
    variables[name] = value;
  }
  std::vector<std::string> result;
  for (const auto& [name, value] : variables) result.push_back(name + "=" + value);
  return result;
}

// Where the program may lie: itself, or its name in every folder of the sandbox's PATH.
std::vector<std::string> programs_of(const std::string& name, const std::string& path,
                                     const fs::path& working_directory) {
  if (name.find('/') != std::string::npos) return {(working_directory / name).string()};
  std::vector<std::string> candidates;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const std::string folder = path.substr(begin, end - begin);
    if (!folder.empty() && folder.front() == '/') candidates.push_back(folder + "/" + name);
    begin = end + 1;
  }
  return candidates;
}

}  // namespace

std::map<std::string, std::string> fixed_environment() {
  return {{"HOME", kHome},
          {"LANG", "C.UTF-8"},
          {"LOGNAME", "sable"},
          {"PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"},
          {"SHELL", "/bin/sh"},
          {"TERM", "dumb"},
          {"TMPDIR", "/tmp"},
          {"USER", "sable"}};
}

void give_terminal(Plan& plan) {
  plan.terminal = true;
  plan.view.push_back(
      {.kind = ViewKind::terminal_folder, .access = Access::device, .target = "/dev/pts"});
}

Result<Execution> make_execution(const Policy& policy, const Command& command, const Host& host) {
  if (command.argv.empty() || command.argv.front().empty()) {
    return fail(ErrorCode::invalid_input, "the command is empty");
  }
  for (const auto& argument : command.argv) {
    if (argument.find('\0') != std::string::npos) {
      return fail(ErrorCode::invalid_input, "an argument of the command contains a NUL byte");
    }
  }
  Execution execution;
  SABLE_TRY(execution.environment, environment_of(policy));
  execution.arguments = command.argv;

  fs::path directory = command.working_directory;
  if (directory.empty()) {
    directory = policy.writable.empty() ? fs::path(kHome) : policy.writable.front();
    const PathFacts first = host.look_up(normal(directory));
    if (first.kind == PathFacts::Kind::file) directory = first.canonical.parent_path();
  }
  if (!directory.is_absolute()) {
    return fail(ErrorCode::invalid_input,
                "the working directory " + in_quotes(directory) + " is not absolute");
  }
  const PathFacts place = host.look_up(normal(directory));
  execution.working_directory =
      (place.canonical.empty() ? normal(directory) : place.canonical).string();

  std::string path = fixed_environment()["PATH"];
  if (const auto own = policy.environment.find("PATH"); own != policy.environment.end())
    path = own->second;
  execution.programs = programs_of(command.argv.front(), path, execution.working_directory);
  return execution;
}

Result<Plan> make_plan(const Policy& policy, const Host& host, const ProtectedPaths& held) {
  const Limits& limits = policy.limits;
  if (limits.processes == 0 || limits.memory_bytes == 0 || limits.temporary_bytes == 0 ||
      limits.open_files < 16) {
    return fail(ErrorCode::invalid_input,
                "the policy \"" + policy.profile +
                    "\" leaves no room to run: processes, memory_bytes "
                    "and temporary_bytes must not be 0 and open_files not below 16");
  }
  Plan plan;
  ViewPlanner view(policy, host, held);
  SABLE_TRY(plan.view, view.plan());
  if (plan.view.size() > kViewEntriesMax) {
    return fail(ErrorCode::invalid_input, "the writable folders hold too many protected paths (" +
                                              std::to_string(held.size()) +
                                              "): grant a smaller folder");
  }
  plan.user = host.user;
  plan.group = host.group;
  plan.own_network = policy.network != Network::open;
  plan.loopback_up = policy.network == Network::loopback || policy.network == Network::allow;
  if (policy.network == Network::allow) plan.proxy_port = kProxyPort;
  plan.disk_roots = view.writable_roots();
  plan.disk_bytes = limits.disk_bytes;
  plan.disk_files = limits.disk_files;
  plan.private_bytes = limits.temporary_bytes;
  plan.private_files = std::clamp<uint64_t>(limits.temporary_bytes / 4096, 4096, 262144);
  plan.cpu_seconds = static_cast<uint64_t>(std::max<int64_t>(limits.cpu.count(), 1));
  plan.file_bytes = limits.file_bytes;
  plan.open_files = limits.open_files;
  plan.memory_bytes = limits.memory_bytes;
  // RLIMIT_NPROC does not bind root; kernel.pid_max of the own namespace binds everybody.
  if (host.user != 0) plan.processes = limits.processes;
  if (host.own_pid_max) plan.pid_max = 300 + limits.processes;
  if (plan.processes == 0 && plan.pid_max == 0) {
    return fail(ErrorCode::unsupported,
                "the number of processes cannot be bounded: as root this needs Linux 6.14 or newer "
                "(kernel.pid_max of a pid namespace); run as an ordinary user instead");
  }
  if (host.landlock_abi < 1) {
    return fail(
        ErrorCode::unsupported,
        "Landlock is missing: it needs Linux 5.13 or newer with \"landlock\" in the lsm= list "
        "of the kernel's command line");
  }
  plan.landlock_files = landlock::files_known(host.landlock_abi);
  if (policy.network == Network::none) {
    plan.landlock_network = landlock::network_known(host.landlock_abi);
  }
  plan.landlock_scopes = landlock::scopes_known(host.landlock_abi);
  return plan;
}

}  // namespace sable::sandbox
