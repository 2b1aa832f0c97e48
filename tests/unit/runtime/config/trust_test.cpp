#include "runtime/config/trust.h"

#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/digest.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::runtime::config;
using State = Verdict::State;
namespace fs = std::filesystem;

namespace {

struct TrustFixture {
  TrustFixture() {
    folder.write("repo/README.md", "x");
    folder.write("repo/.sable/tools/lint.yaml", "name: lint\n");
    folder.write("repo/.sable/agents/tidy.yaml", "name: tidy\n");
  }

  BroughtContent brought() const { return read_brought(folder / "repo").value(); }
  State state() const { return store.check(brought()).value().state; }
  void trust() const { REQUIRE(store.grant(brought())); }

  std::string error() const {
    const auto content = read_brought(folder / "repo");
    return content ? "accepted" : content.error().message;
  }

  sable::test::TemporaryFolder folder;
  TrustStore store{folder / "state/home", system_clock()};
};

}  // namespace

TEST_CASE("what a repository brings is read once, in the order of its paths") {
  TrustFixture fixture;
  fixture.folder.write("repo/.sable/tools/data/words.txt", "a\nb\n");
  fixture.folder.write("repo/.sable/config.yaml", "limits: {steps: 1}\n");
  const auto content = fixture.brought();
  REQUIRE(content.files.size() == 3);
  CHECK(content.files[0].path == ".sable/agents/tidy.yaml");
  CHECK(content.files[1].path == ".sable/tools/data/words.txt");
  CHECK(content.files[2].path == ".sable/tools/lint.yaml");
  CHECK(content.files[2].content == "name: lint\n");
  CHECK(content.repository == fs::canonical(fixture.folder / "repo"));
}

TEST_CASE("the digest is SHA-256 over names and bytes with their lengths") {
  sable::test::TemporaryFolder folder;
  folder.write("repo/.sable/tools/a.yaml", "hello");
  const auto content = read_brought(folder / "repo").value();
  std::string stream = "sable trust 1\n";
  stream += std::string("\x13\0\0\0\0\0\0\0", 8) + ".sable/tools/a.yaml";
  stream += std::string("\x05\0\0\0\0\0\0\0", 8) + "hello";
  CHECK(content.digest == "sha256:" + to_hex(sha256(stream)));
}

TEST_CASE("bytes cannot move between a name and a content without a new digest") {
  sable::test::TemporaryFolder one, two;
  one.write("repo/.sable/tools/a", "bc");
  two.write("repo/.sable/tools/ab", "c");
  CHECK(read_brought(one / "repo")->digest != read_brought(two / "repo")->digest);
}

TEST_CASE("a repository that brings nothing needs no trust") {
  sable::test::TemporaryFolder folder;
  folder.write("repo/.sable/config.yaml", "");
  const TrustStore store(folder / "home", system_clock());
  const auto verdict = store.check(read_brought(folder / "repo").value()).value();
  CHECK(verdict.state == State::empty);
  CHECK(to_text(verdict).empty());
  CHECK_FALSE(verdict.trusted);
}

TEST_CASE("tools and agents load only after they were trusted") {
  TrustFixture fixture;
  const auto before = fixture.store.check(fixture.brought()).value();
  CHECK(before.state == State::unknown);
  CHECK_FALSE(before.trusted);
  CHECK(before.added ==
        std::vector<std::string>{".sable/agents/tidy.yaml", ".sable/tools/lint.yaml"});
  fixture.trust();
  const auto after = fixture.store.check(fixture.brought()).value();
  REQUIRE(after.state == State::trusted);
  REQUIRE(after.trusted->tools().size() == 1);
  CHECK(after.trusted->tools()[0].content == "name: lint\n");
  REQUIRE(after.trusted->agents().size() == 1);
  CHECK(after.trusted->agents()[0].path == ".sable/agents/tidy.yaml");
}

TEST_CASE("a change of any byte asks again and says what changed") {
  TrustFixture fixture;
  fixture.trust();
  fixture.folder.write("repo/.sable/tools/lint.yaml", "name: lInt\n");
  const auto verdict = fixture.store.check(fixture.brought()).value();
  CHECK(verdict.state == State::changed);
  CHECK_FALSE(verdict.trusted);
  CHECK(verdict.modified == std::vector<std::string>{".sable/tools/lint.yaml"});
  CHECK(verdict.added.empty());
  CHECK(verdict.removed.empty());
  CHECK(to_text(verdict).find("changed .sable/tools/lint.yaml") != std::string::npos);
}

TEST_CASE("each single byte counts") {
  TrustFixture fixture;
  fixture.trust();
  const std::string original = "name: lint\n";
  for (size_t at = 0; at < original.size(); ++at) {
    auto text = original;
    text[at] = static_cast<char>(text[at] ^ 1);
    fixture.folder.write("repo/.sable/tools/lint.yaml", text);
    CHECK(fixture.state() == State::changed);
  }
  fixture.folder.write("repo/.sable/tools/lint.yaml", original);
  CHECK(fixture.state() == State::trusted);
}

TEST_CASE("an added, a removed and a renamed file ask again") {
  TrustFixture fixture;
  fixture.trust();
  fixture.folder.write("repo/.sable/tools/deep/helper.sh", "rm -rf /\n");
  auto verdict = fixture.store.check(fixture.brought()).value();
  CHECK(verdict.state == State::changed);
  CHECK(verdict.added == std::vector<std::string>{".sable/tools/deep/helper.sh"});
  fs::remove_all(fixture.folder / "repo/.sable/tools/deep");
  CHECK(fixture.state() == State::trusted);
  fs::remove(fixture.folder / "repo/.sable/agents/tidy.yaml");
  verdict = fixture.store.check(fixture.brought()).value();
  CHECK(verdict.removed == std::vector<std::string>{".sable/agents/tidy.yaml"});
  fixture.folder.write("repo/.sable/agents/tidy2.yaml", "name: tidy\n");
  verdict = fixture.store.check(fixture.brought()).value();
  CHECK(verdict.removed.size() == 1);
  CHECK(verdict.added.size() == 1);
}

TEST_CASE("what is loaded is what was hashed, whatever the disk says by then") {
  TrustFixture fixture;
  fixture.trust();
  auto content = fixture.brought();
  fixture.folder.write("repo/.sable/tools/lint.yaml", "name: evil\n");
  fixture.folder.write("repo/.sable/tools/more.yaml", "name: evil\n");
  const auto verdict = fixture.store.check(std::move(content)).value();
  REQUIRE(verdict.state == State::trusted);
  REQUIRE(verdict.trusted->tools().size() == 1);
  CHECK(verdict.trusted->tools()[0].content == "name: lint\n");
  CHECK(fixture.state() == State::changed);
}

TEST_CASE("what is granted is what was shown, not what lies there by then") {
  TrustFixture fixture;
  const auto shown = fixture.brought();
  fixture.folder.write("repo/.sable/tools/lint.yaml", "name: evil\n");
  REQUIRE(fixture.store.grant(shown));
  CHECK(fixture.state() == State::changed);
}

TEST_CASE("trust belongs to one path") {
  TrustFixture fixture;
  fixture.trust();
  fs::copy(fixture.folder / "repo", fixture.folder / "copy", fs::copy_options::recursive);
  CHECK(fixture.store.check(read_brought(fixture.folder / "copy").value())->state ==
        State::unknown);
  fs::create_directory_symlink(fixture.folder / "repo", fixture.folder / "link");
  CHECK(fixture.store.check(read_brought(fixture.folder / "link").value())->state ==
        State::trusted);
}

TEST_CASE("going back to what was trusted before does not ask again") {
  TrustFixture fixture;
  fixture.trust();
  fixture.folder.write("repo/.sable/tools/lint.yaml", "name: other\n");
  fixture.trust();
  fixture.folder.write("repo/.sable/tools/lint.yaml", "name: lint\n");
  CHECK(fixture.state() == State::trusted);
}

TEST_CASE("the oldest of many grants are forgotten") {
  TrustFixture fixture;
  fixture.trust();
  for (int i = 0; i < 16; ++i) {
    fixture.folder.write("repo/.sable/tools/lint.yaml", "name: l" + std::to_string(i) + "\n");
    fixture.trust();
  }
  fixture.folder.write("repo/.sable/tools/lint.yaml", "name: l0\n");
  CHECK(fixture.state() == State::trusted);
  fixture.folder.write("repo/.sable/tools/lint.yaml", "name: lint\n");
  CHECK(fixture.state() == State::changed);
}

TEST_CASE("trust can be taken back, also of a repository that is gone") {
  TrustFixture fixture;
  CHECK(fixture.store.revoke(fixture.folder / "repo").value() == false);
  fixture.trust();
  CHECK(fixture.store.revoke(fixture.folder / "repo/").value() == true);
  CHECK(fixture.state() == State::unknown);
  fixture.trust();
  fs::rename(fixture.folder / "repo", fixture.folder / "moved");
  CHECK(fixture.store.revoke(fixture.folder / "repo").value() == true);
  fs::rename(fixture.folder / "moved", fixture.folder / "repo");
  CHECK(fixture.state() == State::unknown);
}

TEST_CASE("the store is the user's alone, and so is the home that it makes") {
  TrustFixture fixture;
  fixture.trust();
  struct stat info;
  REQUIRE(::stat((fixture.folder / "state/home/trust.json").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);
  REQUIRE(::stat((fixture.folder / "state/home").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0700);
}

TEST_CASE("a store that others may write is refused") {
  TrustFixture fixture;
  fixture.trust();
  const auto path = fixture.folder / "state/home/trust.json";
  ::chmod(path.c_str(), 0622);
  const auto verdict = fixture.store.check(fixture.brought());
  REQUIRE_FALSE(verdict);
  CHECK(verdict.error().code == ErrorCode::denied);
  ::chmod(path.c_str(), 0600);
  fs::rename(path, fixture.folder / "elsewhere.json");
  fs::create_symlink(fixture.folder / "elsewhere.json", path);
  CHECK_FALSE(fixture.store.check(fixture.brought()));
}

TEST_CASE("a damaged store is an error, never an empty store") {
  TrustFixture fixture;
  for (const auto* text :
       {"", "{", "[]", "{}", R"({"version":"1","grants":[]})", R"({"version":1})",
        R"({"version":1,"grants":[{}]})", R"({"version":1,"grants":{}})",
        R"({"version":1,"grants":[{"repository":1,"digest":"","time":"","files":{}}]})",
        R"({"version":1,"grants":[{"repository":"","digest":"","time":"","files":{"a":1}}]})"}) {
    ::chmod(fixture.folder.write("state/home/trust.json", text).c_str(), 0600);
    INFO(text);
    const auto verdict = fixture.store.check(fixture.brought());
    REQUIRE_FALSE(verdict);
    CHECK(verdict.error().code == ErrorCode::corrupt);
    CHECK_FALSE(fixture.store.grant(fixture.brought()));
  }
  ::chmod(fixture.folder.write("state/home/trust.json", R"({"version":2,"grants":[]})").c_str(),
          0600);
  CHECK(fixture.store.check(fixture.brought()).error().code == ErrorCode::unsupported);
}

TEST_CASE("two processes that grant at once lose nothing") {
  sable::test::TemporaryFolder folder;
  constexpr int kRepositories = 8;
  std::vector<BroughtContent> contents;
  for (int i = 0; i < kRepositories; ++i) {
    const auto name = "repo" + std::to_string(i);
    folder.write(name + "/.sable/tools/a.yaml", "x");
    contents.push_back(read_brought(folder / name).value());
  }
  std::vector<std::thread> threads;
  for (const auto& content : contents) {
    threads.emplace_back([&] {
      // Its own store, so that only the lock on disk holds them apart.
      (void)TrustStore(folder / "home", system_clock()).grant(content);
    });
  }
  for (auto& thread : threads) thread.join();
  const TrustStore store(folder / "home", system_clock());
  for (const auto& content : contents) CHECK(store.check(content)->state == State::trusted);
}

TEST_CASE("links, devices and folders of a hostile repository are refused by name") {
  TrustFixture fixture;
  const auto tools = fixture.folder / "repo/.sable/tools";
  SECTION("a link to a file") {
    fs::create_symlink("/etc/passwd", tools / "passwd.yaml");
    CHECK(fixture.error().find(".sable/tools/passwd.yaml: neither a plain file nor a folder") !=
          std::string::npos);
  }
  SECTION("a link to a folder") {
    fs::create_directory_symlink("/etc", tools / "etc");
    CHECK(fixture.error().find(".sable/tools/etc: neither") != std::string::npos);
  }
  SECTION("the folder itself is a link") {
    fs::remove_all(tools);
    fixture.folder.write("elsewhere/a.yaml", "x");
    fs::create_directory_symlink(fixture.folder / "elsewhere", tools);
    CHECK(fixture.error().find(".sable/tools: a symbolic link") != std::string::npos);
  }
  SECTION("a pipe") {
    REQUIRE(::mkfifo((tools / "pipe.yaml").c_str(), 0600) == 0);
    CHECK(fixture.error().find(".sable/tools/pipe.yaml: neither") != std::string::npos);
  }
  SECTION("a name that a terminal would obey") {
    std::ofstream((tools / "a\x1b[2J").string()) << "x";
    CHECK(fixture.error().find('\x1b') == std::string::npos);
    CHECK(fixture.error().find("control characters") != std::string::npos);
  }
  SECTION("a name that looks like two") {
    std::ofstream((tools / "a\n  brings b").string()) << "x";
    CHECK(fixture.error().find('\n') == std::string::npos);
    CHECK(fixture.error().find("control characters") != std::string::npos);
  }
  SECTION("a name that is not UTF-8") {
    std::ofstream((tools / "a\xff").string()) << "x";
    CHECK(fixture.error().find("not valid UTF-8") != std::string::npos);
  }
  SECTION("a folder that is a file") {
    fs::remove_all(tools);
    fixture.folder.write("repo/.sable/tools", "x");
    CHECK(fixture.error() != "accepted");
  }
}

TEST_CASE("what a repository brings is bounded") {
  TrustFixture fixture;
  SECTION("in the size of one file") {
    fixture.folder.write("repo/.sable/tools/big.yaml", std::string((1 << 20) + 1, 'x'));
    CHECK(fixture.error().find("big.yaml: larger than 1048576 bytes") != std::string::npos);
  }
  SECTION("in the size of all") {
    for (int i = 0; i < 9; ++i) {
      fixture.folder.write("repo/.sable/tools/" + std::to_string(i), std::string(1 << 20, 'x'));
    }
    CHECK(fixture.error().find("in all") != std::string::npos);
  }
  SECTION("in the number of files") {
    for (int i = 0; i < 300; ++i)
      fixture.folder.write("repo/.sable/tools/" + std::to_string(i), "");
    CHECK(fixture.error().find("more than 256") != std::string::npos);
  }
  SECTION("in the number of files over folders") {
    for (int i = 0; i < 300; ++i) {
      fixture.folder.write("repo/.sable/tools/" + std::to_string(i % 2) + "/" + std::to_string(i),
                           "");
    }
    CHECK(fixture.error().find("more than 256 files") != std::string::npos);
  }
  SECTION("in depth") {
    fixture.folder.write("repo/.sable/tools/1/2/3/4/5/6/7/8/9/x", "");
    CHECK(fixture.error().find("nested deeper than 8 folders") != std::string::npos);
  }
}
