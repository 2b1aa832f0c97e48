#include "sandbox/protected_names.h"

#include "base/text.h"
#include "sandbox/protected_paths.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

namespace {

struct ProtectedName {
  std::string_view name;
  std::string_view why;
};

constexpr std::string_view kOfAgents = "settings of an agent, which grant rights and name programs";
constexpr std::string_view kOfEditors = "editor tasks and settings, which run programs";
constexpr std::string_view kStartUp = "a shell start-up file";
constexpr std::string_view kEnvironment =
    "shell environment, which runs when the folder is entered";
constexpr std::string_view kOfPackages = "package manager settings";
constexpr std::string_view kOfDebuggers = "debugger settings, which run programs";
constexpr std::string_view kOfRepositories =
    "repository control data: hooks and settings in it run programs";

constexpr ProtectedName kNames[] = {
    {".sable", "Sable's own settings and state"},
    {".claude", kOfAgents},
    {".codex", kOfAgents},
    {".gemini", kOfAgents},
    {".opencode", kOfAgents},
    {".windsurf", kOfAgents},
    {".mcp.json", "tool server settings, which name programs"},
    {".vscode", kOfEditors},
    {".idea", kOfEditors},
    {".cursor", kOfEditors},
    {".fleet", kOfEditors},
    {".zed", kOfEditors},
    {".nvim.lua", kOfEditors},
    {".nvimrc", kOfEditors},
    {".vimrc", kOfEditors},
    {".exrc", kOfEditors},
    {".devcontainer", "settings of a container, which name programs and mounts"},
    {".husky", "repository hooks, which run programs"},
    {".gitconfig", "repository settings, which can name programs"},
    {".bashrc", kStartUp},
    {".bash_profile", kStartUp},
    {".bash_login", kStartUp},
    {".bash_logout", kStartUp},
    {".bash_aliases", kStartUp},
    {".profile", kStartUp},
    {".zshrc", kStartUp},
    {".zshenv", kStartUp},
    {".zprofile", kStartUp},
    {".zlogin", kStartUp},
    {".zlogout", kStartUp},
    {".inputrc", "key bindings of shells, which can type commands"},
    {".envrc", kEnvironment},
    {".direnv", kEnvironment},
    {".npmrc", kOfPackages},
    {".yarnrc", kOfPackages},
    {".yarnrc.yml", kOfPackages},
    {".pypirc", kOfPackages},
    {".gdbinit", kOfDebuggers},
    {".lldbinit", kOfDebuggers},
};

constexpr std::string_view kHeldInRepository[] = {"hooks", "config", "config.worktree",
                                                  "commondir"};
constexpr std::string_view kHeldInCargo[] = {"config", "config.toml"};
constexpr std::string_view kContentOfRepository[] = {"objects", "refs",  "logs",
                                                     "lfs",     "hooks", "info"};

template <size_t n>
bool is_one_of(std::string_view name, const std::string_view (&names)[n]) {
  for (const auto one : names) {
    if (equal_ignoring_case(name, one)) return true;
  }
  return false;
}

}  // namespace

std::string_view protection_of_name(std::string_view name) {
  if (name.empty() || name.front() != '.') return {};
  for (const auto& one : kNames) {
    if (equal_ignoring_case(name, one.name)) return one.why;
  }
  return {};
}

std::vector<std::string_view> protected_names() {
  std::vector<std::string_view> names;
  for (const auto& one : kNames) names.push_back(one.name);
  names.insert(names.end(), {".cargo/config", ".cargo/config.toml"});
  return names;
}

std::string_view protection_in(std::string_view folder, std::string_view name) {
  if (equal_ignoring_case(folder, ".cargo") && is_one_of(name, kHeldInCargo)) {
    return "settings of cargo, which name programs that a build runs";
  }
  return protection_of_name(name);
}

bool is_repository_name(std::string_view name) { return equal_ignoring_case(name, ".git"); }

bool is_held_in_repository(std::string_view name) { return is_one_of(name, kHeldInRepository); }

bool is_content_of_repository(std::string_view name) {
  return is_one_of(name, kContentOfRepository);
}

std::optional<std::string_view> protection_of(std::string_view path) {
  std::string_view folder;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (is_repository_name(part)) return kOfRepositories;
    if (const auto why = protection_in(folder, part); !why.empty()) return why;
    if (slash == std::string_view::npos) return std::nullopt;
    folder = part;
    path.remove_prefix(slash + 1);
  }
  return std::nullopt;
}

bool is_protected_place(const std::filesystem::path& path) {
  bool in_repository = false, in_content = false;
  std::string_view before;
  for (const auto& component : path) {
    const std::string_view name = component.native();
    if (!protection_in(before, name).empty()) return true;
    if (in_repository && !in_content) {
      if (is_held_in_repository(name)) return true;
      in_content = is_content_of_repository(name);
    } else if (in_repository && equal_ignoring_case(before, "info") &&
               equal_ignoring_case(name, "attributes")) {
      return true;
    }
    in_repository = in_repository || is_repository_name(name);
    before = component.native();
  }
  // A file of that name points to a repository elsewhere; a folder shows by what it holds.
  return is_repository_name(before) && !in_content;
}

}  // namespace sable::sandbox
