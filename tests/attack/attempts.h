// What an attacking program writes down: each attempt, and whether the sandbox stopped it.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>

namespace sable::attack {

/// Prints one line an attempt; the program's exit status says whether all were stopped.
class Attempts {
 public:
  /// A call that must have failed (result < 0) with one of `errors`; reads errno, so call it at
  /// once.
  void denied(const std::string& what, long result, std::initializer_list<int> errors);
  /// Anything that must be so.
  void holds(const std::string& what, bool fact);
  /// Runs `attempt` in a child of its own, which must be killed by `signal`.
  void killed_by(const std::string& what, int signal, const std::function<void()>& attempt);

  int breaches() const { return n_breaches_; }
  int count() const { return n_; }

 private:
  void report(bool stopped, const std::string& what, const std::string& how);

  int n_ = 0, n_breaches_ = 0;
};

/// A value that the harness passes by the environment; empty if it did not.
std::string given(const char* name);
int given_number(const char* name);

using Attack = void (*)(Attempts&);
using AttackTable = std::map<std::string, Attack>;

AttackTable file_attacks();
AttackTable persistence_attacks();
AttackTable network_attacks();
AttackTable kernel_attacks();
AttackTable resource_attacks();

}  // namespace sable::attack
