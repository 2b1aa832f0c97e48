// What an evaluation found: one report a task, their sums a family, as a table and as JSON.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "runtime/eval/trial.h"
#include "runtime/terminal/style.h"

namespace sable::runtime {

struct TaskReport {
  std::string name, family;
  std::string repository = {};  ///< a made task's
  std::string instruction;
  bool passed = false;
  std::string why;  ///< when it did not pass
  TrialEnd end;
};

/// {"task", "family", "instruction", "passed", "why", "status", "answer", ...}: docs/evaluation.md.
Json to_json(const TaskReport& report);

/// Adds up reports; families in the order in which they first came.
class Scores {
 public:
  void add(const TaskReport& report);
  size_t n() const { return all_.n; }
  size_t n_passed() const { return all_.n_passed; }
  /// Tasks on repositories of this name.
  size_t n_on(const std::string& repository) const;

  /// A line a family and, where there are several, one for all: share with its 95 % interval, steps
  /// and tokens a task, time a task, malformed calls.
  std::string to_text(const Style& style) const;
  /// {"families": [{"family", "n", "passed", "share", "low", "high", ...}], "all": {...}}
  Json to_json() const;

 private:
  struct Sum {
    std::string family;
    size_t n = 0, n_passed = 0;
    uint64_t n_steps = 0, n_tool_calls = 0, n_malformed_calls = 0;
    uint64_t input_tokens = 0, output_tokens = 0;
    std::chrono::milliseconds wall{0};

    void add(const TaskReport& report);
    Json to_json() const;
  };
  std::vector<Sum> families_;
  std::map<std::string, size_t> repositories_;
  Sum all_{.family = "all"};
};

}  // namespace sable::runtime
