// A policy in plain words, with the layers that hold each line on this machine.
#include "base/text.h"
#include "sandbox/planner.h"
#include "sandbox/protected_names.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

namespace {

class Explanation {
 public:
  explicit Explanation(const std::vector<Layer>& layers) : layers_(layers) {}

  void line(const std::string& text) { text_ += text + "\n"; }

  // "  [mount namespaces, Landlock ABI 7]", or what is missing.
  void held_by(std::initializer_list<std::string_view> names) {
    std::string holding, missing;
    for (const auto name : names) {
      const Layer* layer = find(name);
      const bool holds = layer != nullptr && layer->state != Layer::State::missing;
      std::string& list = holds ? holding : missing;
      if (!list.empty()) list += ", ";
      list += name;
      if (holds && layer->state == Layer::State::degraded) list += " (degraded)";
    }
    if (!holding.empty()) line("    held by: " + holding);
    if (!missing.empty()) line("    MISSING here: " + missing);
  }

  // For a layer that there is in more than one kind.
  void held_by_this(std::string_view name) {
    const Layer* layer = find(name);
    if (layer == nullptr || layer->state == Layer::State::missing) return held_by({name});
    line("    held by: " + std::string(name) + ": " + layer->detail);
  }

  void paths(const std::vector<std::filesystem::path>& paths) {
    for (const auto& path : paths) line("    " + escape_controls(path.string()));
  }

  const std::vector<Layer>& layers() const { return layers_; }
  std::string take() { return std::move(text_); }

 private:
  const Layer* find(std::string_view name) const {
    for (const auto& layer : layers_) {
      if (layer.name == name) return &layer;
    }
    return nullptr;
  }

  const std::vector<Layer>& layers_;
  std::string text_;
};

std::string in_bytes(uint64_t bytes) {
  constexpr std::pair<uint64_t, const char*> kUnits[] = {
      {uint64_t{1} << 30, " GiB"}, {uint64_t{1} << 20, " MiB"}, {uint64_t{1} << 10, " KiB"}};
  for (const auto& [size, name] : kUnits) {
    if (bytes >= size && bytes % size == 0) return std::to_string(bytes / size) + name;
  }
  return std::to_string(bytes) + " bytes";
}

std::string in_seconds(std::chrono::milliseconds time) {
  if (time.count() % 1000 == 0) return std::to_string(time.count() / 1000) + " s";
  return std::to_string(time.count()) + " ms";
}

// Indented, and broken into lines of a readable length.
void list_names(Explanation& out, const std::vector<std::string_view>& names) {
  constexpr size_t kColumns = 96;
  std::string line;
  for (const auto name : names) {
    if (!line.empty() && line.size() + name.size() + 2 > kColumns) {
      out.line("    " + line + ",");
      line.clear();
    }
    line += (line.empty() ? "" : ", ") + std::string(name);
  }
  out.line("    " + line);
}

void explain_protected(Explanation& out) {
  out.line("What programs outside would run or believe stays as it is there, at any depth, and is");
  out.line("  named in the result where it is new:");
  out.line(
      "    of a repository: its hooks, its configuration, info/attributes, the file that points");
  out.line(
      "    to it, and what the settings of git name (core.hooksPath, included files, file system");
  out.line("    monitors, filters, diff and merge programs, ...), read anew before each command");
  list_names(out, protected_names());
  out.held_by({"mount namespaces", "mount attributes"});
}

void explain_files(Explanation& out, const Policy& policy) {
  if (policy.writable.empty()) {
    out.line("It may change no file of this machine.");
  } else {
    out.line("It may change files only in:");
    out.paths(policy.writable);
  }
  out.held_by({"mount namespaces", "mount attributes", "Landlock"});
  if (!policy.writable.empty()) explain_protected(out);
  if (policy.files == FileEffects::transaction) {
    out.line("What it changes is kept apart until it is applied or dropped as a whole.");
    out.held_by({"transactions"});
  } else if (!policy.transactions.empty()) {
    out.line("Its changes are kept apart until they are applied or dropped as a whole, of:");
    for (const auto& [root, store] : policy.transactions)
      out.line("    " + escape_controls(root.string()));
    out.held_by({"transactions"});
  }
  out.line(
      "It may read the system's programs and libraries, a few settings without secrets, its own "
      "/proc");
  out.line(policy.readable.empty() ? "  and nothing else of this machine." : "  and:");
  out.paths(policy.readable);
  out.held_by({"mount namespaces", "Landlock"});
  if (!policy.masked.empty()) {
    out.line("It sees as empty, wherever they lie:");
    out.paths(policy.masked);
    out.held_by({"mount namespaces"});
  }
  out.line("/tmp, /run, /dev/shm and its home are empty at the start, gone at the end, and hold " +
           in_bytes(policy.limits.temporary_bytes) + " together.");
  out.held_by({"mount namespaces"});
}

void explain_network(Explanation& out, const Policy& policy) {
  switch (policy.network) {
    case Network::none:
      out.line("It can talk to nobody over a network or a socket.");
      out.held_by({"network namespaces", "seccomp", "Landlock"});
      break;
    case Network::loopback:
      out.line("It can talk over a loopback of its own, to processes of the same call only.");
      out.held_by({"network namespaces", "seccomp"});
      break;
    case Network::allow:
      out.line(
          "It can talk over a loopback of its own, and through a proxy, which looks names up,");
      out.line("  refuses private and local addresses unless said here, and logs, to:");
      for (const auto& host : policy.allowed_hosts) {
        out.line("    " + escape_controls(host.name) + " on port " + std::to_string(host.port) +
                 (host.private_addresses ? ", private addresses too" : ""));
      }
      if (policy.allowed_hosts.empty()) out.line("    nobody");
      out.held_by({"network namespaces", "seccomp"});
      break;
    case Network::open:
      out.line(
          "THE NETWORK IS OPEN: it can talk to everything that this machine reaches, over TCP and "
          "UDP,");
      out.line("  and send there whatever it can read.");
      out.held_by({"seccomp"});
      break;
  }
}

void explain_processes(Explanation& out, const Policy& policy) {
  out.line("It sees and signals only its own processes, and gains no privilege.");
  out.held_by({"user namespaces", "process namespaces", "no new privileges", "seccomp"});
  const Limits& limits = policy.limits;
  out.line("It ends within " + in_seconds(limits.wall) + " (then " + in_seconds(limits.grace) +
           " of grace), and no process of it outlives it.");
  out.held_by({"process namespaces", "process handles"});
  out.line("It has at most " + std::to_string(limits.processes) + " processes at once.");
  out.held_by_this("process limit");
  out.line("Its processes use at most " + in_bytes(limits.memory_bytes) + " of memory together.");
  out.held_by_this("memory limit");
  if (!policy.writable.empty()) {
    out.line("The disks of its folders may lose " + in_bytes(limits.disk_bytes) + " and " +
             std::to_string(limits.disk_files) +
             " files of what is free while it runs, never the last 256 MiB.");
    out.line("    held by: its first process, which looks every 50 ms (others' writes count too)");
  }
  out.line("Each process uses at most " + std::to_string(limits.cpu.count()) +
           " s of processor time, " + std::to_string(limits.open_files) + " open files and " +
           in_bytes(limits.file_bytes) + " in one file; its output ends at " +
           in_bytes(limits.output_bytes) + ".");
  out.line("    held by: resource limits, the reader of its output");
}

void explain_environment(Explanation& out, const Policy& policy) {
  out.line("Of the environment it gets this and nothing else:");
  for (const auto& [name, value] : fixed_environment()) {
    if (policy.environment.count(name) == 0) out.line("    " + name + "=" + value);
  }
  if (policy.network == Network::allow) {
    out.line("    http_proxy, https_proxy and no_proxy, in both cases, for the proxy");
  }
  // A policy's values may be secrets.
  for (const auto& [name, value] : policy.environment) {
    out.line("    " + escape_controls(name) + ", from the policy");
  }
  out.line("    held by: the launcher, which starts each program with this list");
}

}  // namespace

std::string explain(const Policy& policy, const std::vector<Layer>& layers) {
  Explanation out(layers);
  out.line("A command under the policy \"" + escape_controls(policy.profile) + "\":");
  explain_files(out, policy);
  explain_network(out, policy);
  explain_processes(out, policy);
  explain_environment(out, policy);
  for (const auto& layer : out.layers()) {
    if (layer.required && layer.state == Layer::State::missing) {
      out.line("On this machine NO command runs: " + layer.name + " is missing (" + layer.detail +
               "). " + layer.remedy + ".");
    }
  }
  return out.take();
}

}  // namespace sable::sandbox
