// Which episodes a plan gives.
#include "training/play_episodes.h"

#include <fstream>
#include <map>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/text.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::training;

namespace fs = std::filesystem;

TEST_CASE("shares of families are read, and what is none is refused by name") {
  const auto shares = parse_family_shares("rename=0.3,report=.25");
  REQUIRE(shares.has_value());
  CHECK(*shares == FamilyShares{{"rename", 0.3}, {"report", 0.25}});
  CHECK(parse_family_shares("")->empty());
  CHECK(parse_family_shares("find=0.5,rename=0.5").has_value());
  for (const char* const wrong :
       {"rename", "rename=", "rename=x", "rename=0", "rename=-1", "rename=nan", "rename=0.1x", "=1",
        "nobody=0.1", "rename=0.1,rename=0.1", "rename=0.6,report=0.5", "rename=inf", ",",
        "rename=0.1,,"}) {
    INFO(wrong);
    const auto refused = parse_family_shares(wrong);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == ErrorCode::invalid_input);
  }
}

TEST_CASE("episodes follow their shares, on made-up code and on files that may be learned from") {
  const auto pack = AgentPack::read(std::string(SABLE_SOURCE_DIR) + "/configs");
  if (!pack) FAIL(pack.error().message);
  test::TemporaryFolder folder;
  EpisodePlan plan;
  plan.launcher = std::string(SABLE_BINARY_DIR) + "/sable-launcher";
  plan.work = folder / "work";
  const auto families = [&](const char* name) {
    const auto done = play_episodes(plan, *pack, folder / name);
    if (!done) FAIL(done.error().message);
    std::map<std::string, int> n;
    const auto text = read_file(folder / name, size_t{16} << 20);
    for (const std::string_view line : split_lines(*text)) {
      if (line.empty()) continue;
      const auto episode = episode_from_json(*parse_json(line));
      REQUIRE(episode.has_value());
      ++n[episode->family];
    }
    return n;
  };

  plan.n_made_up = 24;
  plan.shares = {{"refuse", 1.0}};
  CHECK(families("alone") == std::map<std::string, int>{{"refuse", 24}});
  plan.shares = {{"refuse", 0.5}};
  auto half = families("half");
  CHECK(half["refuse"] > 5);
  CHECK(half["refuse"] < 19);
  CHECK(half.size() > 3);
  REQUIRE(families("again") == half);
  CHECK(*read_file(folder / "again", 1 << 24) == *read_file(folder / "half", 1 << 24));

  // A package of two files, of which the licence allows one.
  plan.code = folder / "code";
  fs::create_directories(plan.code / "pack-1" / "debian");
  std::ofstream(plan.code / "pack-1" / "debian" / "copyright")
      << "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
         "Files: *\nCopyright: a\nLicense: MIT\n\nFiles: other.c\nCopyright: b\nLicense: GPL-3\n";
  for (const char* const name : {"free.c", "other.c"}) {
    std::ofstream file(plan.code / "pack-1" / name);
    file << "#include <stdio.h>\n\n";
    for (int i = 0; i < 12; ++i) {
      file << "/* Adds up what the table of row " << i << " holds. */\nint "
           << (name[0] == 'f' ? "first_sum" : "other_sum") << "abcdefghijkl"[i]
           << "(const int* table, int n) {\n  int sum = 0;\n  for (int i = 0; i < n; i++) {\n"
              "    sum += table[i];\n  }\n  return sum;\n}\n\n";
    }
  }
  plan.shares = {};
  plan.n_made_up = 3;
  plan.n_real = 6;
  int n = 0;
  for (const auto& [family, count] : families("both")) n += count;
  CHECK(n == 9);
  const auto both = read_file(folder / "both", 1 << 24);
  CHECK(both->find("first_sum") != std::string::npos);
  CHECK(both->find("other_sum") == std::string::npos);
  const auto licences = read_file(folder / "both.licences.tsv", 1 << 20);
  REQUIRE(licences.has_value());
  CHECK(*licences == "package\tlicence\tfiles\npack-1\tMIT\t1\n");

  plan.shares = {{"refuse", 1.0}};
  const auto none = play_episodes(plan, *pack, folder / "none");
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().message == "none of these families is played on real code");
}
