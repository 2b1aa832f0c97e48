// The table of docs/sandbox.md: every attack in every network mode, by both ways of spawning, as
// root and as an ordinary user; and beside them the same attacks under bubblewrap.
//
// test_attacks "[table]"
#include <cstdio>
#include <cstdlib>
#include <grp.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/attack/attack_list.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::sandbox;
using sable::attack::Spawn;

namespace {

constexpr uid_t kNobody = 65534;
constexpr Network kModes[] = {Network::none, Network::loopback, Network::allow};

struct Row {
  size_t n_stopped[3] = {}, n_tried[3] = {};  ///< by network: runs of the attack
  std::vector<std::string> breaches;          ///< ours, if any
  std::vector<std::string> reasons;
  int n_outside = -1;  ///< attempts under bubblewrap; -1: not tried
  std::vector<std::string> outside;
};

using Rows = std::vector<Row>;

void add_once(std::vector<std::string>& list, const std::string& text) {
  if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
}

Rows try_all() {
  const auto attacks = attack::listed_attacks();
  const bool with_bubblewrap = ::access("/usr/bin/bwrap", X_OK) == 0;
  Rows rows(attacks.size());
  for (size_t i = 0; i < attacks.size(); ++i) {
    Row& row = rows[i];
    for (size_t mode = 0; mode < std::size(kModes); ++mode) {
      if (!attack::applies(attacks[i], kModes[mode])) continue;
      for (const auto spawn : {Spawn::fresh, Spawn::session}) {
        const auto verdict = attack::try_attack(attacks[i], spawn, kModes[mode]);
        ++row.n_tried[mode];
        if (verdict.stopped()) ++row.n_stopped[mode];
        for (const auto& breach : verdict.breaches) add_once(row.breaches, breach);
        for (const auto& reason : verdict.reasons) add_once(row.reasons, reason);
      }
    }
    if (!with_bubblewrap) continue;
    // What is to run on until somebody ends it gets three seconds.
    const bool endless = attacks[i].id == "R6" || attacks[i].id == "R8";
    attack::Verdict verdict;
    for (const auto& trial : attacks[i].trials) {
      if (&trial != attacks[i].trials.data() && trial.run == attacks[i].trials.front().run)
        continue;
      attack::AttackHost host;
      const auto outcome =
          host.run_under_bubblewrap(trial.run, attacks[i].outside,
                                    endless ? std::chrono::seconds(3) : std::chrono::seconds(20));
      attack::read_attempts(outcome.run.output, verdict);
      for (const auto& damage : outcome.host_damage) add_once(row.outside, "host: " + damage);
      // Killed from outside it has no survivor either; that it had to be is R6.
      if (attacks[i].id == "R8")
        std::erase(row.outside, "host: it ran on until it was killed from outside");
    }
    row.n_outside = verdict.n_attempts;
    for (const auto& breach : verdict.breaches) add_once(row.outside, breach);
  }
  return rows;
}

std::vector<std::string> read_list(std::istream& in) {
  size_t n = 0;
  std::string line;
  std::getline(in, line);
  std::istringstream(line) >> n;
  std::vector<std::string> list;
  for (; n > 0 && std::getline(in, line); --n) list.push_back(line);
  return list;
}

void write_list(std::ostream& out, const std::vector<std::string>& list) {
  out << list.size() << "\n";
  for (const auto& text : list) out << text << "\n";
}

void write_rows(std::ostream& out, const Rows& rows) {
  for (const auto& row : rows) {
    for (int mode = 0; mode < 3; ++mode)
      out << row.n_stopped[mode] << " " << row.n_tried[mode] << " ";
    out << row.n_outside << "\n";
    write_list(out, row.breaches);
    write_list(out, row.reasons);
    write_list(out, row.outside);
  }
}

void add_rows(std::istream& in, Rows& rows) {
  for (auto& row : rows) {
    std::string line;
    REQUIRE(std::getline(in, line));
    std::istringstream numbers(line);
    for (int mode = 0; mode < 3; ++mode) {
      size_t n_stopped = 0, n_tried = 0;
      numbers >> n_stopped >> n_tried;
      row.n_stopped[mode] += n_stopped;
      row.n_tried[mode] += n_tried;
    }
    for (const auto& breach : read_list(in))
      add_once(row.breaches, "as an ordinary user: " + breach);
    for (const auto& reason : read_list(in)) add_once(row.reasons, reason);
    (void)read_list(in);  // bubblewrap is shown once
  }
}

// In a child that has become the ordinary user.
std::string rows_of_ordinary_user() {
  const test::TemporaryFolder home;
  REQUIRE(::chown(home.path().c_str(), kNobody, kNobody) == 0);
  int pipe[2] = {-1, -1};
  REQUIRE(::pipe(pipe) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)
      ::_exit(100);
    ::setenv("HOME", home.path().c_str(), 1);
    ::setenv("TMPDIR", home.path().c_str(), 1);
    if (::chdir(home.path().c_str()) != 0) ::_exit(101);
    std::ostringstream out;
    write_rows(out, try_all());
    const std::string text = out.str();
    for (size_t at = 0; at < text.size();) {
      const ssize_t n = ::write(pipe[1], text.data() + at, text.size() - at);
      if (n <= 0) ::_exit(102);
      at += static_cast<size_t>(n);
    }
    ::_exit(0);
  }
  ::close(pipe[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(pipe[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(n));
  ::close(pipe[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  return text;
}

std::string cell(const Row& row, size_t mode) {
  if (row.n_tried[mode] == 0) return "";
  if (row.n_stopped[mode] == row.n_tried[mode]) return "stopped";
  return "**" + std::to_string(row.n_tried[mode] - row.n_stopped[mode]) + " of " +
         std::to_string(row.n_tried[mode]) + " not stopped**";
}

// The first few, and how many more.
std::string some_of(const std::vector<std::string>& list, size_t n_max) {
  std::string text;
  for (size_t i = 0; i < list.size() && i < n_max; ++i) text += (i == 0 ? "" : "; ") + list[i];
  if (list.size() > n_max) text += "; " + std::to_string(list.size() - n_max) + " more";
  // Temporary names mean nothing to a reader.
  for (size_t at = 0; (at = text.find("/tmp/sable-test-", at)) != std::string::npos;) {
    const size_t end = text.find_first_of("/ ;\"", at + 16);
    text.replace(at, (end == std::string::npos ? text.size() : end) - at, "…");
  }
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.insert(at, "\\");
  return text;
}

std::string outside(const Row& row) {
  if (row.n_outside < 0) return "";
  if (row.outside.empty()) return "stopped";
  return "**" + std::to_string(row.outside.size()) + " got through**: " + some_of(row.outside, 2);
}

}  // namespace

TEST_CASE("the table of attacks, ours and bubblewrap's", "[.][table]") {
  Rows rows = try_all();
  if (::geteuid() == 0) {
    std::istringstream ordinary(rows_of_ordinary_user());
    add_rows(ordinary, rows);
  }
  const auto attacks = attack::listed_attacks();
  std::printf("| id | what is tried | none | loopback | allow | what it meets | bubblewrap |\n");
  std::printf("| --- | --- | --- | --- | --- | --- | --- |\n");
  for (size_t i = 0; i < attacks.size(); ++i) {
    std::printf("| %s | %s | %s | %s | %s | %s | %s |\n", attacks[i].id.c_str(),
                attacks[i].what.c_str(), cell(rows[i], 0).c_str(), cell(rows[i], 1).c_str(),
                cell(rows[i], 2).c_str(), some_of(rows[i].reasons, 3).c_str(),
                outside(rows[i]).c_str());
    INFO(attacks[i].id << ": " << some_of(rows[i].breaches, 8));
    CHECK(rows[i].breaches.empty());
  }
}
