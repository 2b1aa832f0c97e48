#include "tools/protected_names.h"

#include <strings.h>

namespace sable::tools {

namespace {

struct ProtectedName {
  std::string_view name;
  std::string_view why;
};

/// Folders (and files in their place) that are protected with all they hold.
constexpr ProtectedName kTrees[] = {
    {".git", "repository control data: hooks and settings in it run programs"},
    {".sable", "Sable's own settings and state"},
    {".vscode", "editor tasks and settings, which run programs"},
    {".idea", "editor tasks and settings, which run programs"},
    {".cursor", "editor tasks and settings, which run programs"},
    {".fleet", "editor tasks and settings, which run programs"},
    {".claude", "settings of an agent, which grant rights and name programs"},
    {".codex", "settings of an agent, which grant rights and name programs"},
    {".gemini", "settings of an agent, which grant rights and name programs"},
    {".husky", "repository hooks, which run programs"},
    {".direnv", "shell environment, which runs when the folder is entered"},
};

/// Files that a shell, an editor or a package manager runs or obeys by name.
constexpr ProtectedName kFiles[] = {
    {".envrc", "shell environment, which runs when the folder is entered"},
    {".gitconfig", "repository settings, which can name programs"},
    {".bashrc", "a shell start-up file"},
    {".bash_profile", "a shell start-up file"},
    {".bash_login", "a shell start-up file"},
    {".bash_logout", "a shell start-up file"},
    {".profile", "a shell start-up file"},
    {".zshrc", "a shell start-up file"},
    {".zshenv", "a shell start-up file"},
    {".zprofile", "a shell start-up file"},
    {".zlogin", "a shell start-up file"},
    {".mcp.json", "tool server settings, which name programs"},
    {".exrc", "editor settings, which run programs"},
    {".nvim.lua", "editor settings, which run programs"},
    {".gdbinit", "debugger settings, which run programs"},
    {".lldbinit", "debugger settings, which run programs"},
    {".npmrc", "package manager settings"},
    {".yarnrc", "package manager settings"},
    {".yarnrc.yml", "package manager settings"},
    {".pypirc", "package manager settings"},
};

/// File systems may fold case, so ".GIT" is protected as well.
bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

std::optional<std::string_view> protection_of(std::string_view path) {
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    for (const auto& tree : kTrees) {
      if (same_name(part, tree.name)) return tree.why;
    }
    if (slash == std::string_view::npos) {
      for (const auto& file : kFiles) {
        if (same_name(part, file.name)) return file.why;
      }
      return std::nullopt;
    }
    path.remove_prefix(slash + 1);
  }
  return std::nullopt;
}

}  // namespace sable::tools
