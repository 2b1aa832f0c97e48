#include "sandbox/git_targets.h"

#include <algorithm>
#include <iterator>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "sandbox/protected_names.h"

namespace sable::sandbox {

namespace {

namespace fs = std::filesystem;

constexpr size_t kSettingsBytesMax = size_t{1} << 20;  // of one repository, with all it includes:
                                                       // they are read where calls are planned
constexpr size_t kSettingsFilesMax = 256;
constexpr size_t kTargetsMax = 1024;  // of one repository
constexpr int kIncludesDeep = 10;     // as git has it

// Names whose value is a path of what git runs from or reads settings from, missing or not.
constexpr std::string_view kPaths[] = {"hookspath", "attributesfile", "templatedir", "sslcainfo"};
// Names whose value is a command, in whatever section they stand.
constexpr std::string_view kCommands[] = {"alternaterefscommand",
                                          "askpass",
                                          "browser",
                                          "clean",
                                          "cmd",
                                          "cccmd",
                                          "command",
                                          "difffilter",
                                          "driver",
                                          "editor",
                                          "external",
                                          "defaultkeycommand",
                                          "fsmonitor",
                                          "gitproxy",
                                          "headercmd",
                                          "helper",
                                          "httpd",
                                          "packobjectshook",
                                          "pager",
                                          "process",
                                          "program",
                                          "receivepack",
                                          "sendmailcmd",
                                          "smtpserver",
                                          "smudge",
                                          "sshcommand",
                                          "textconv",
                                          "tocmd",
                                          "tunnel",
                                          "uploadpack",
                                          "vcs"};
// Where a path is that of a program.
constexpr std::string_view kPathsOfPrograms[] = {"browser", "difftool", "lfs", "man", "mergetool"};
// Names git starts in a hooks folder; for one that holds the worktree itself.
constexpr std::string_view kHooks[] = {"applypatch-msg",
                                       "commit-msg",
                                       "fsmonitor-watchman",
                                       "p4-changelist",
                                       "p4-post-changelist",
                                       "p4-pre-submit",
                                       "p4-prepare-changelist",
                                       "post-applypatch",
                                       "post-checkout",
                                       "post-commit",
                                       "post-index-change",
                                       "post-merge",
                                       "post-receive",
                                       "post-rewrite",
                                       "post-update",
                                       "pre-applypatch",
                                       "pre-auto-gc",
                                       "pre-commit",
                                       "pre-merge-commit",
                                       "pre-push",
                                       "pre-rebase",
                                       "pre-receive",
                                       "prepare-commit-msg",
                                       "proc-receive",
                                       "push-to-checkout",
                                       "reference-transaction",
                                       "sendemail-validate",
                                       "update"};

template <size_t n>
bool is_one_of(std::string_view name, const std::string_view (&names)[n]) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool is_below_or_same(const fs::path& path, const fs::path& root) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

// Without the empty name that a slash at the end leaves.
fs::path normal(const fs::path& path) {
  fs::path result = path.lexically_normal();
  return result.has_filename() ? result : result.parent_path();
}

bool is_file(const fs::path& path, bool executable) {
  struct stat seen {};
  return ::stat(path.c_str(), &seen) == 0 && S_ISREG(seen.st_mode) &&
         (!executable || (seen.st_mode & 0111) != 0);
}

std::string_view first_line(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

// Of a key of two or three parts; what lies between the first and the last dot is in nobody's hand.
std::string_view section_of(std::string_view key) { return key.substr(0, key.find('.')); }
std::string_view name_in(std::string_view key) { return key.substr(key.rfind('.') + 1); }

enum class Meaning { path, include, command, other };

Meaning meaning_of(const GitSetting& setting) {
  const auto section = section_of(setting.key), name = name_in(setting.key);
  if (name == "path" && (section == "include" || section == "includeif")) return Meaning::include;
  if (is_one_of(name, kPaths)) return Meaning::path;
  if (section == "pager" || is_one_of(name, kCommands)) return Meaning::command;
  if (name == "path" && is_one_of(section, kPathsOfPrograms)) return Meaning::command;
  const bool to_shell = setting.value.starts_with('!');
  return to_shell ? Meaning::command : Meaning::other;  // aliases, a submodule's update
}

// What stands between white space and the shell's own characters.
std::vector<std::string_view> words_of(std::string_view command) {
  constexpr std::string_view kBetween = " \t\n\r;&|()<>`$\"'{}=,!";
  std::vector<std::string_view> words;
  while (true) {
    const size_t begin = command.find_first_not_of(kBetween);
    if (begin == std::string_view::npos) return words;
    command.remove_prefix(begin);
    const size_t end = std::min(command.find_first_of(kBetween), command.size());
    words.push_back(command.substr(0, end));
    command.remove_prefix(end);
  }
}

class Search {
 public:
  Search(GitRepository repository, const GitUser& user)
      : repository_(std::move(repository)), user_(user) {}

  GitTargets run() {
    for (const auto& file : user_.settings) read(file, 0);
    read(repository_.common / "config", 0);
    read(repository_.folder / "config.worktree", 0);
    for (const auto& [setting, file] : settings_) {
      if (setting.key == "core.worktree" && !setting.value.empty()) {
        repository_.worktree = normal(repository_.folder / setting.value);
      }
    }
    for (const auto& [setting, file] : settings_) add_targets_of(setting, file);
    return std::move(found_);
  }

 private:
  fs::path expanded(std::string_view value, const fs::path& base) const {
    if (value == "~" || value.starts_with("~/")) {
      return normal(user_.home / value.substr(std::min<size_t>(2, value.size())));
    }
    return normal(base / fs::path(value));
  }

  void read(const fs::path& file, int depth) {
    auto& known = found_.settings;
    if (depth > kIncludesDeep || known.size() >= kSettingsFilesMax ||
        std::find(known.begin(), known.end(), file) != known.end()) {
      return;
    }
    known.push_back(file);
    const auto text = read_file(file, kSettingsBytesMax - n_bytes_);
    if (!text) return;
    n_bytes_ += text->size();
    for (auto& setting : parse_git_config(*text)) {
      if (setting.value.empty() || setting.value.find('\0') != std::string::npos) continue;
      if (meaning_of(setting) == Meaning::include) {
        const fs::path included = expanded(setting.value, file.parent_path());
        add(included, setting, file);
        read(included, depth + 1);
      }
      settings_.emplace_back(std::move(setting), file);
    }
  }

  void add_targets_of(const GitSetting& setting, const fs::path& file) {
    switch (meaning_of(setting)) {
      case Meaning::include:
        break;  // when it was read
      case Meaning::path:
        add_path(expanded(setting.value, repository_.worktree), setting, file);
        break;
      case Meaning::command:
        add_words(setting, file, false);
        break;
      case Meaning::other:
        add_words(setting, file, true);
        break;
    }
  }

  // A folder that holds the worktree or the repository cannot be held whole.
  void add_path(const fs::path& path, const GitSetting& setting, const fs::path& file) {
    if (!is_below_or_same(repository_.worktree, path) &&
        !is_below_or_same(repository_.common, path)) {
      return add(path, setting, file);
    }
    if (name_in(setting.key) != "hookspath") return;
    for (const auto hook : kHooks) add(path / hook, setting, file);
  }

  void add_words(const GitSetting& setting, const fs::path& file, bool executable) {
    std::string_view whole = setting.value;
    if (whole.starts_with('!')) whole.remove_prefix(1);
    add_word(whole, setting, file, executable);
    for (const auto word : words_of(whole)) add_word(word, setting, file, executable);
  }

  void add_word(std::string_view word, const GitSetting& setting, const fs::path& file,
                bool executable) {
    if (word.empty() || word.size() > 4096) return;
    for (const fs::path& base : {repository_.worktree, repository_.folder, repository_.common}) {
      const fs::path path = expanded(word, base);
      if (is_file(path, executable)) add(path, setting, file);
      // "$(git rev-parse --show-toplevel)/tools/x", whose beginning only the shell knows.
      const size_t name = word.find_first_not_of('/');
      if (word.front() != '/' || name == std::string_view::npos) continue;
      const fs::path below = normal(base / fs::path(word.substr(name)));
      if (is_file(below, executable)) add(below, setting, file);
    }
    // A program that is missing is one that can be made.
    const bool is_path = !executable && word.find('/') != std::string_view::npos &&
                         word.find_first_of(" \t\n%*?") == std::string_view::npos &&
                         word.find("//") == std::string_view::npos;
    if (is_path) add_path(expanded(word, repository_.worktree), setting, file);
  }

  void add(const fs::path& path, const GitSetting& setting, const fs::path& file) {
    auto& targets = found_.targets;
    const bool known = std::any_of(targets.begin(), targets.end(),
                                   [&](const GitTarget& target) { return target.path == path; });
    if (known || targets.size() >= kTargetsMax) return;
    targets.push_back({path, "git's setting " + escape_controls(setting.key) + " in " +
                                 escape_controls(file.string()) + " names it"});
  }

  GitRepository repository_;
  const GitUser& user_;
  std::vector<std::pair<GitSetting, fs::path>> settings_;
  size_t n_bytes_ = 0;  ///< of settings that were read
  GitTargets found_;
};

}  // namespace

std::optional<GitRepository> repository_at(const fs::path& place) {
  struct stat seen {};
  if (::stat(place.c_str(), &seen) != 0) return {};
  GitRepository repository{.folder = place, .common = {}, .worktree = place};
  const bool named = is_repository_name(place.filename().native());
  if (named) repository.worktree = place.parent_path();
  if (!S_ISDIR(seen.st_mode)) {
    constexpr std::string_view kPointer = "gitdir: ";
    const auto text = read_file(place, 64 * 1024);
    if (!text || !text->starts_with(kPointer)) return {};
    const auto target = first_line(std::string_view(*text).substr(kPointer.size()));
    if (target.empty() || target.find('\0') != std::string_view::npos) return {};
    repository.folder = normal(place.parent_path() / fs::path(target));
  }
  repository.common = repository.folder;
  if (const auto common = read_file(repository.folder / "commondir", 64 * 1024)) {
    const auto target = first_line(*common);
    if (!target.empty() && target.find('\0') == std::string_view::npos) {
      repository.common = normal(repository.folder / fs::path(target));
    }
  }
  return repository;
}

GitUser this_git_user() {
  GitUser user{.home = {}, .settings = {"/etc/gitconfig"}};
  const passwd* entry = ::getpwuid(::geteuid());
  if (entry == nullptr || entry->pw_dir == nullptr || *entry->pw_dir != '/') return user;
  user.home = entry->pw_dir;
  user.settings.push_back(user.home / ".config/git/config");
  user.settings.push_back(user.home / ".gitconfig");
  return user;
}

GitTargets git_targets(GitRepository repository, const GitUser& user) {
  return Search(std::move(repository), user).run();
}

}  // namespace sable::sandbox
