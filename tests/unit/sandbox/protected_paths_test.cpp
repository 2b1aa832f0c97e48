#include "sandbox/protected_paths.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "tests/support/temporary_folder.h"

using namespace sable::sandbox;
using sable::test::TemporaryFolder;

namespace fs = std::filesystem;

namespace {

std::shared_ptr<const ProtectedPaths> shared_look(ProtectedIndex& index) {
  index.begin();
  while (!index.advance(std::chrono::microseconds(200))) {
  }
  return index.found();
}

ProtectedPaths look(ProtectedIndex& index) { return *shared_look(index); }

std::vector<std::string> names(const TemporaryFolder& folder, const std::vector<fs::path>& paths) {
  std::vector<std::string> result;
  for (const auto& path : paths) result.push_back(fs::relative(path, folder.path()).string());
  return result;
}

}  // namespace

TEST_CASE("protected paths are found at any depth, and only they") {
  TemporaryFolder folder;
  folder.write(".git/config", "");
  folder.write(".git/hooks/x", "");
  folder.write("a/b/c/.git/config", "");
  folder.write("a/b/c/.envrc", "");
  folder.write("sub/.git", "gitdir: ../.git/modules/sub");
  folder.write(".git/modules/sub/HEAD", "");
  folder.write(".git/modules/sub/config", "");
  folder.write(".git/modules/sub/objects/x", "");
  folder.write(".git/modules/sub/refs/x", "");
  folder.write("bare/HEAD", "");
  folder.write("bare/config", "");
  folder.write("bare/objects/x", "");
  folder.write("bare/refs/x", "");
  folder.write("src/config", "");
  folder.write("src/hooks/x", "");
  ProtectedIndex index(folder.path());
  const auto found = look(index);
  std::vector<fs::path> paths;
  for (const auto& [path, held] : found) paths.push_back(path);
  CHECK(names(folder, paths) ==
        std::vector<std::string>{".git", ".git/config", ".git/hooks", ".git/modules/sub",
                                 ".git/modules/sub/config", "a/b/c/.envrc", "a/b/c/.git",
                                 "a/b/c/.git/config", "bare", "bare/config", "sub/.git"});
  CHECK(found.at(folder / ".git").hold == ProtectedPath::Hold::pinned);
  CHECK(found.at(folder / "sub/.git").hold == ProtectedPath::Hold::read_only);
}

TEST_CASE("settings of cargo are held with the folder by whose name they are known") {
  TemporaryFolder folder;
  folder.write("a/.cargo/config.toml", "");
  folder.write("a/.cargo/registry/x", "");
  folder.write("b/.cargo/registry/x", "");
  ProtectedIndex index(folder.path());
  const auto before = look(index);
  CHECK(before.size() == 2);
  CHECK(before.at(folder / "a/.cargo").hold == ProtectedPath::Hold::pinned);
  CHECK(before.at(folder / "a/.cargo/config.toml").hold == ProtectedPath::Hold::read_only);
  folder.write("b/.cargo/config", "");
  const auto after = look(index);
  CHECK(after.count(folder / "b/.cargo/config") == 1);
  CHECK(names(folder, changes_between(before, after)) == std::vector<std::string>{"b/.cargo"});
}

TEST_CASE("what is made, replaced, moved or removed later shows as a change") {
  TemporaryFolder folder;
  folder.write("a/.git/config", "1");
  folder.write("b/.envrc", "1");
  folder.write("c/d/.vscode/tasks.json", "{}");
  ProtectedIndex index(folder.path());
  const auto before = look(index);
  CHECK(changes_between(before, look(index)).empty());

  folder.write("new/deep/.git/config", "");
  folder.write("new/deep/.git/hooks/x", "");
  fs::remove(folder / "b/.envrc");
  folder.write("a/.git/other", "2");
  fs::rename(folder / "a/.git/other", folder / "a/.git/config");
  fs::rename(folder / "c", folder / "e");
  folder.write("a/.git/hooks/pre-commit", "");
  auto changed = names(folder, changes_between(before, look(index)));
  std::sort(changed.begin(), changed.end());
  CHECK(changed == std::vector<std::string>{"a/.git/config", "a/.git/hooks", "b/.envrc",
                                            "c/d/.vscode", "e/d/.vscode", "new/deep/.git"});
}

TEST_CASE("a protected name that is a link is watched, and what it leads to is held") {
  TemporaryFolder folder;
  folder.write("dot/bashrc", "");
  fs::create_symlink("dot/bashrc", folder / ".bashrc");
  fs::create_symlink("/nowhere", folder / ".envrc");
  ProtectedIndex index(folder.path());
  const auto before = look(index);
  CHECK(before.at(folder / ".bashrc").hold == ProtectedPath::Hold::watched);
  CHECK(before.at(folder / ".envrc").hold == ProtectedPath::Hold::watched);
  CHECK(before.at(folder / "dot/bashrc").hold == ProtectedPath::Hold::read_only);
  fs::create_symlink("/evil", folder / "new");
  fs::rename(folder / "new", folder / ".envrc");
  CHECK(names(folder, changes_between(before, look(index))) == std::vector<std::string>{".envrc"});
}

TEST_CASE("ordinary work in a tree changes nothing protected") {
  TemporaryFolder folder;
  folder.write(".git/config", "");
  folder.write(".git/HEAD", "a");
  ProtectedIndex index(folder.path());
  const auto before = look(index);
  for (int i = 0; i < 50; ++i) folder.write("build/" + std::to_string(i) + "/x.o", "");
  folder.write(".git/objects/ab/cdef", "");
  folder.write(".git/HEAD", "b");
  CHECK(changes_between(before, look(index)).empty());
}

TEST_CASE("folders made while nobody looked are followed to their bottom") {
  TemporaryFolder folder;
  ProtectedIndex index(folder.path());
  look(index);
  fs::create_directories(folder / "x/y/z");
  look(index);
  folder.write("x/y/z/w/.git/config", "");
  CHECK(look(index).count(folder / "x/y/z/w/.git/config") == 1);
}

TEST_CASE("a look at a tree where nothing protected changed finds the same object again") {
  TemporaryFolder folder;
  folder.write(".git/config", "");
  folder.write("a/.envrc", "");
  ProtectedIndex index(folder.path());
  const auto before = shared_look(index);
  folder.write("a/b/c", "");
  fs::rename(folder / "a/b/c", folder / "a/b/d");
  CHECK(shared_look(index) == before);
  fs::remove(folder / "a/.envrc");
  CHECK(shared_look(index)->count(folder / "a/.envrc") == 0);
}

TEST_CASE("what lies in a folder that is not walked is heard of as well") {
  TemporaryFolder folder;
  folder.write(".git/config", "");
  folder.write(".git/info/exclude", "");
  folder.write(".vscode/deep/er/envrc", "");
  fs::create_symlink(".vscode/deep/er/envrc", folder / ".envrc");
  ProtectedIndex index(folder.path());
  const auto before = look(index);
  CHECK(before.count(folder / ".vscode/deep/er/envrc") == 1);

  folder.write(".git/info/attributes", "* filter=x");
  const auto made = look(index);
  CHECK(names(folder, changes_between(before, made)) ==
        std::vector<std::string>{".git/info/attributes"});
  fs::remove(folder / ".git/info/attributes");
  fs::rename(folder / ".vscode/deep", folder / ".vscode/moved");
  const auto after = look(index);
  CHECK(after.count(folder / ".git/info/attributes") == 0);
  CHECK(after.count(folder / ".vscode/deep/er/envrc") == 0);
}

TEST_CASE("a root that was replaced by another folder is walked anew") {
  TemporaryFolder folder;
  folder.write("root/.envrc", "");
  folder.write("other/nested/.git/config", "");
  ProtectedIndex index(folder / "root");
  CHECK(look(index).size() == 1);
  fs::rename(folder / "root", folder / "old");
  CHECK(look(index).empty());
  fs::rename(folder / "other", folder / "root");
  CHECK(look(index).count(folder / "root/nested/.git/config") == 1);
}
