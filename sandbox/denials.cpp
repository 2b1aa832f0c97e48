#include "sandbox/denials.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <optional>

#include "base/text.h"

namespace sable::sandbox {

namespace {

namespace fs = std::filesystem;

enum class Kind {
  changed,
  refused,
  not_permitted,
  busy,
  absent,
  address,
  processes,
  space,
  file_size
};

struct Symptom {
  std::string_view text;  ///< as the C library words it; others repeat it in lower case
  Kind kind;
};

// What a command tried to do, where its message says that and no path or address explains it.
struct Deed {
  std::string_view word;
  std::string_view denial;
};

constexpr std::string_view kNoMounts =
    "file systems cannot be mounted or unmounted inside the sandbox (held by seccomp, and by "
    "having "
    "no capabilities)";
constexpr std::string_view kNoNamespaces =
    "new namespaces cannot be made or entered inside the sandbox (held by user.max_*_namespaces = "
    "0 "
    "and seccomp)";

constexpr Deed kDeeds[] = {
    {"unshare", kNoNamespaces},
    {"nsenter", kNoNamespaces},
    {"setns", kNoNamespaces},
    {"namespace", kNoNamespaces},
    {"ptrace",
     "no process may be traced, so no debugger works inside the sandbox (held by seccomp)"},
    {"chroot", "the root cannot be changed inside the sandbox (held by seccomp)"},
};

constexpr Symptom kSymptoms[] = {
    {"Read-only file system", Kind::changed},
    {"Permission denied", Kind::refused},
    {"Operation not permitted", Kind::not_permitted},
    {"Device or resource busy", Kind::busy},
    {"must be superuser", Kind::not_permitted},
    {"Invalid cross-device link", Kind::refused},
    {"No such file or directory", Kind::absent},
    {"Network is unreachable", Kind::address},
    {"Network unreachable", Kind::address},
    {"Address family not supported", Kind::address},
    {"Temporary failure in name resolution", Kind::address},
    {"Temporary failure resolving", Kind::address},
    {"Could not resolve", Kind::address},
    {"unable to resolve", Kind::address},
    {"failed to lookup address", Kind::address},
    {"no such host", Kind::address},
    {"Name or service not known", Kind::address},
    {"EAI_AGAIN", Kind::address},
    {"ENETUNREACH", Kind::address},
    {"EAFNOSUPPORT", Kind::address},
    {"Cannot fork", Kind::processes},
    {"fork: retry", Kind::processes},
    {"fork: Resource temporarily unavailable", Kind::processes},
    {"can't start new thread", Kind::processes},
    {"No space left on device", Kind::space},
    {"File too large", Kind::file_size},
    {"File size limit exceeded", Kind::file_size},
};

constexpr const char* kPrivate[] = {"/tmp", "/run", "/dev/shm", "/var/tmp"};
constexpr const char* kSystem[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};

bool is_below_or_same(const fs::path& path, const fs::path& root) {
  const auto [end, unused] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return end == root.end();
}

std::string in_quotes(std::string_view text) { return "\"" + escape_controls(text) + "\""; }

// "'", "\"" and the typographic quotes that GNU programs use.
size_t quote_at(std::string_view text) {
  if (text.empty()) return 0;
  if (text[0] == '\'' || text[0] == '"' || text[0] == '`') return 1;
  for (const std::string_view quote : {"\u2018", "\u2019", "\u201c", "\u201d"}) {
    if (text.substr(0, quote.size()) == quote) return quote.size();
  }
  return 0;
}

// The words of an error message: what stands between quotes, or between spaces and colons.
std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    if (const size_t quote = quote_at(line); quote > 0) {
      line.remove_prefix(quote);
      size_t end = 0;
      while (end < line.size() && quote_at(line.substr(end)) == 0) ++end;
      if (end > 0) words.push_back(line.substr(0, end));
      line.remove_prefix(end == line.size() ? end : end + quote_at(line.substr(end)));
      continue;
    }
    size_t end = 0;
    while (end < line.size() && line[end] != ' ' && line[end] != '\t' &&
           quote_at(line.substr(end)) == 0)
      ++end;
    std::string_view word = line.substr(0, end);
    while (!word.empty() && (word.back() == ':' || word.back() == ',' || word.back() == '.'))
      word.remove_suffix(1);
    if (!word.empty()) words.push_back(word);
    line.remove_prefix(end < line.size() && quote_at(line.substr(end)) == 0 ? end + 1 : end);
  }
  return words;
}

bool is_number_address(const std::string& text) {
  in6_addr ignored{};
  return ::inet_pton(AF_INET, text.c_str(), &ignored) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), &ignored) == 1;
}

// Dots between letters also stand in the names of files and of errors ("socket.gaierror").
bool may_be_host(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (name.size() > 253 || dot == std::string_view::npos || dot == 0 || dot + 2 >= name.size()) {
    return false;
  }
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
  if (name.find_first_not_of(kLetters) != std::string_view::npos) return false;
  const std::string_view last = name.substr(dot + 1);
  if (last.find_first_of("0123456789") != std::string_view::npos) return false;
  for (const std::string_view other : {"py", "js", "mjs", "ts", "rb", "go", "rs", "cpp", "java"}) {
    if (equal_ignoring_case(last, other)) return false;
  }
  return find_ignoring_case(name, "error") == std::string_view::npos &&
         find_ignoring_case(name, "exception") == std::string_view::npos;
}

// "example.org", "192.0.2.1:443", "[2001:db8::1]:443", "2001:db8::1": without the port.
std::string without_port(std::string_view text) {
  if (text.starts_with('[')) return std::string(text.substr(1, text.find(']') - 1));
  const size_t colon = text.find(':');
  if (colon == text.rfind(':')) text = text.substr(0, colon);
  return std::string(text);
}

// The best that the words of a message have: the host of a URL, an address in numbers, a name; of
// several the last one.
std::string address_named_by(const std::vector<std::string_view>& words) {
  std::string best;
  int best_rank = 0;
  const auto offer = [&](std::string name, int rank) {
    if (name.empty() || rank < best_rank) return;
    best = std::move(name);
    best_rank = rank;
  };
  for (auto word : words) {
    if (const size_t scheme = word.find("://"); scheme != std::string_view::npos) {
      offer(without_port(word.substr(scheme + 3, word.find('/', scheme + 3) - scheme - 3)), 3);
      continue;
    }
    constexpr std::string_view kAround = "|()<>,;=";
    while (!word.empty()) {
      const size_t end = std::min(word.find_first_of(kAround), word.size());
      std::string name = without_port(word.substr(0, end));
      while (!name.empty() && name.back() == '.') name.pop_back();
      if (is_number_address(name)) {
        offer(std::move(name), 2);
      } else if (may_be_host(name)) {
        offer(std::move(name), 1);
      }
      word.remove_prefix(std::min(end + 1, word.size()));
    }
  }
  return best;
}

std::string joined(const std::vector<fs::path>& paths) {
  std::string text;
  for (const auto& path : paths) text += (text.empty() ? "" : ", ") + in_quotes(path.string());
  return text;
}

class Denials {
 public:
  Denials(const Policy& policy, const fs::path& directory)
      : policy_(policy), directory_(directory) {}

  void read_line(std::string_view line) {
    for (const auto& symptom : kSymptoms) {
      const size_t at = find_ignoring_case(line, symptom.text);
      if (at == std::string_view::npos) continue;
      if (explain_deed(symptom.kind, line)) return;
      // Most messages name the thing before the reason, Python's and curl's also after it.
      const auto before = words_of(line.substr(0, at));
      const auto after = words_of(line.substr(at + symptom.text.size()));
      std::vector<std::string_view> words(after.rbegin(), after.rend());
      words.insert(words.end(), before.begin(), before.end());
      explain(symptom.kind, words);
      return;
    }
  }

  std::vector<std::string> take() { return std::move(denials_); }

 private:
  bool explain_deed(Kind kind, std::string_view line) {
    if (kind != Kind::refused && kind != Kind::not_permitted && kind != Kind::space) return false;
    for (const std::string_view program :
         {"mount: ", "umount: ", "fusermount: ", "fusermount3: "}) {
      if (line.starts_with(program)) return add(std::string(kNoMounts));
    }
    // Not the name of a file that has the word in it.
    for (const auto& deed : kDeeds) {
      const size_t at = find_ignoring_case(line, deed.word);
      if (at == std::string_view::npos || line.substr(0, at).find('/') != std::string_view::npos)
        continue;
      return add(std::string(deed.denial));
    }
    return false;
  }

  void explain(Kind kind, const std::vector<std::string_view>& words) {
    switch (kind) {
      case Kind::changed:
      case Kind::refused:
      case Kind::not_permitted:
      case Kind::busy:
      case Kind::absent:
      case Kind::space:
        // The last that fits: programs say their own name first.
        for (auto word = words.rbegin(); word != words.rend(); ++word) {
          if (explain_path(kind, *word)) return;
        }
        return;
      case Kind::address:
        explain_address(words);
        return;
      case Kind::processes:
        add("no further process could be started: the policy allows " +
            std::to_string(policy_.limits.processes) +
            " at once (held by kernel.pid_max of its process namespace or RLIMIT_NPROC)");
        return;
      case Kind::file_size:
        add("a file may not grow beyond " + std::to_string(policy_.limits.file_bytes) +
            " bytes (held by RLIMIT_FSIZE)");
        return;
    }
  }

  bool explain_path(Kind kind, std::string_view word) {
    if (word.size() > 4096 || word.find('\0') != std::string_view::npos) return false;
    const bool is_path = word.find('/') != std::string_view::npos || word.front() == '.' ||
                         protection_of(word).has_value();
    if (!is_path || word.find("://") != std::string_view::npos) return false;
    const fs::path path = (directory_ / fs::path(word)).lexically_normal();
    const std::string name = in_quotes(path.string());
    for (const auto& masked : policy_.masked) {
      if (is_below_or_same(path, masked)) {
        return add(name +
                   " is masked by the policy: commands find it empty (held by a mount over it)");
      }
    }
    for (const auto& root : policy_.writable) {
      if (is_below_or_same(path, root)) return explain_protected(kind, path, root);
    }
    if (in_any(path, kPrivate)) {
      if (kind != Kind::space) return false;
      return add(name + ": the temporary folders hold " +
                 std::to_string(policy_.limits.temporary_bytes) +
                 " bytes together (held by the size of their file system)");
    }
    if (kind == Kind::space) return false;
    const bool readable =
        in_any(path, kSystem) ||
        std::any_of(policy_.readable.begin(), policy_.readable.end(),
                    [&](const fs::path& root) { return is_below_or_same(path, root); });
    const std::string writable = policy_.writable.empty()
                                     ? "no folder is writable under it"
                                     : "writable under it is " + joined(policy_.writable);
    const std::string rule = "the policy " + in_quotes(policy_.profile);
    if (readable || is_below_or_same(path, "/proc") || is_below_or_same(path, "/dev")) {
      // That something of the system is not there, or not executable, is no denial.
      if (kind != Kind::changed) return false;
      return add(name + " may be read but not changed: " + rule + ", " + writable +
                 " (held by read-only mounts and Landlock)");
    }
    if (kind == Kind::absent && word.front() != '/') return false;
    return add(name + " is outside of what the command may see: " + rule + ", " + writable +
               (policy_.readable.empty() ? "" : ", readable " + joined(policy_.readable)) +
               " (held by the view that was built for it, and Landlock)");
  }

  bool explain_protected(Kind kind, const fs::path& path, const fs::path& root) {
    if (kind == Kind::absent || kind == Kind::space) return false;
    const auto why = protection_of(path.lexically_relative(root).string());
    const std::string name = in_quotes(path.string());
    if (why) {
      return add(name + " is protected: " + std::string(*why) +
                 " (held by a read-only mount over it)");
    }
    if (kind == Kind::not_permitted) {
      return add(name +
                 " lies in a writable folder, but set-user-id and set-group-id modes, device files "
                 "and other owners are refused there too (held by seccomp, and by having no "
                 "capabilities)");
    }
    if (kind == Kind::busy) {
      return add(name +
                 " cannot be moved or removed: it is protected, or lies around something that is "
                 "(held by a mount over it)");
    }
    // Nothing else in a writable folder says this, unless the machine itself mounts it so.
    if (kind != Kind::changed) return false;
    return add(name +
               " is protected: the settings of git name it, so git would run or believe it outside "
               "the sandbox (held by a read-only mount over it)");
  }

  void explain_address(const std::vector<std::string_view>& words) {
    const std::string who = address_named_by(words);
    const std::string subject = who.empty() ? "the network" : in_quotes(who);
    switch (policy_.network) {
      case Network::none:
        add(subject +
            " cannot be reached: the policy's network is \"none\" (held by an empty "
            "network namespace, seccomp and Landlock)");
        break;
      case Network::loopback:
        add(subject +
            " cannot be reached: the policy's network is \"loopback\", which holds the "
            "processes of this call only (held by a network namespace of its own)");
        break;
      case Network::allow: {
        std::string hosts;
        for (const auto& host : policy_.allowed_hosts)
          hosts += (hosts.empty() ? "" : ", ") + host.name + ":" + std::to_string(host.port);
        add(subject +
            " cannot be reached directly: the only way is the proxy that https_proxy "
            "names, and that to " +
            (hosts.empty() ? std::string("nobody") : escape_controls(hosts)) +
            " (held by a network namespace of its own)");
        break;
      }
      case Network::open:
        break;  // then it is not the sandbox that says no
    }
  }

  template <size_t n>
  static bool in_any(const fs::path& path, const char* const (&folders)[n]) {
    return std::any_of(folders, folders + n,
                       [&](const char* folder) { return is_below_or_same(path, folder); });
  }

  bool add(std::string text) {
    const bool known = std::find(denials_.begin(), denials_.end(), text) != denials_.end();
    if (!known && denials_.size() < kDenialsMax) denials_.push_back(std::move(text));
    return true;
  }

  const Policy& policy_;
  const fs::path& directory_;
  std::vector<std::string> denials_;
};

}  // namespace

std::vector<std::string> explain_denials(const Policy& policy, const fs::path& working_directory,
                                         std::string_view output) {
  Denials denials(policy, working_directory);
  while (!output.empty()) {
    const size_t end = output.find('\n');
    denials.read_line(output.substr(0, std::min<size_t>(end, 2000)));
    if (end == std::string_view::npos) break;
    output.remove_prefix(end + 1);
  }
  return denials.take();
}

void add_refusals(RunResult& result) {
  for (const auto& decision : result.network_decisions) {
    if (decision.allowed || result.denials.size() >= 2 * kDenialsMax) continue;
    std::string text = decision.reason + " (held by the proxy)";
    if (std::find(result.denials.begin(), result.denials.end(), text) == result.denials.end())
      result.denials.push_back(std::move(text));
  }
}

}  // namespace sable::sandbox
