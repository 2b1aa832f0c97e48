#include "evaluation/judge.h"

#include <algorithm>

#include <fmt/format.h>

#include "evaluation/answer.h"

namespace sable::evaluation {

namespace {

Verdict no(std::string why) { return {.why = std::move(why)}; }
Verdict yes() { return {.passed = true}; }

std::vector<std::string> paths_of(const Files& files) {
  std::vector<std::string> paths;
  for (const auto& [path, content] : files) paths.push_back(path);
  return paths;
}

Verdict judge_files(const MadeTask& task, const Files& after) {
  const Truth& truth = task.truth;
  std::vector<std::string> wrong;
  for (const auto& [path, content] : truth.files) {
    const auto it = after.find(path);
    if (it == after.end()) return no(path + " is gone");
    if (it->second != content) wrong.push_back(path);
  }
  for (const auto& [path, content] : after) {
    if (truth.files.contains(path) || truth.left_over.contains(path) ||
        path.find("__pycache__/") != std::string::npos) {
      continue;
    }
    return no(path + " should not be there");
  }
  if (wrong.empty()) return yes();
  for (const std::string& path : wrong) {
    const auto before = task.before.find(path);
    if (before == task.before.end()) continue;
    if (before->second == after.at(path)) return no(path + " was not changed");
    if (before->second == truth.files.at(path)) {
      return no(path + " should not have been changed");
    }
  }
  if (wrong.size() == 1 && wrong.front() == truth.mended && !truth.check.empty()) {
    return {.why = truth.mended + " is not corrected", .needs_check = true};
  }
  return no(wrong.front() + " is not as it should be");
}

Verdict judge_places(const Truth& truth, const std::string& answer,
                     const std::vector<std::string>& paths) {
  const auto stated = places_in(answer, paths);
  const auto named = [](const std::vector<StatedPlace>& list, const StatedPlace& place) {
    return std::find(list.begin(), list.end(), place) != list.end();
  };
  for (const StatedPlace& place : truth.places) {
    if (!named(stated, place)) {
      return no(fmt::format("the answer does not name {}:{}", place.path, place.line));
    }
  }
  for (const StatedPlace& place : stated) {
    if (!named(truth.places, place) && !named(truth.also, place)) {
      return no(fmt::format("the answer names {}:{}, which is wrong", place.path, place.line));
    }
  }
  if (!named(truth.places, stated.front())) {
    return no(
        fmt::format("the answer names {}:{} first", stated.front().path, stated.front().line));
  }
  return yes();
}

Verdict judge_names(const Truth& truth, const std::string& answer) {
  for (const StatedName& wanted : truth.names) {
    if (!mentions(answer, wanted.name)) {
      return no(fmt::format("the answer does not name {}", wanted.name));
    }
  }
  for (const StatedName& stated : listed_names(answer)) {
    const auto it = std::find_if(truth.names.begin(), truth.names.end(),
                                 [&](const StatedName& n) { return n.name == stated.name; });
    if (it == truth.names.end()) {
      return no(fmt::format("the answer names {}, which is not defined there", stated.name));
    }
    if (stated.line != 0 && stated.line != it->line) {
      return no(
          fmt::format("the answer has {} in line {}, not {}", stated.name, stated.line, it->line));
    }
  }
  return yes();
}

Verdict judge_answer(const MadeTask& task, const std::string& answer) {
  const Truth& truth = task.truth;
  const auto paths = paths_of(task.truth.files);
  switch (truth.answer) {
    case Truth::Answer::free:
      return yes();
    case Truth::Answer::places:
      return judge_places(truth, answer, paths);
    case Truth::Answer::absent: {
      const size_t at = denial(answer);
      if (at == std::string::npos) return no("the answer does not say that there is none");
      if (first_place(answer, paths) < at)
        return no("the answer names a place where there is none");
      return yes();
    }
    case Truth::Answer::already:
      return says_already(answer) ? yes()
                                  : no("the answer does not say that nothing had to be changed");
    case Truth::Answer::number: {
      const auto numbers = numbers_in(answer, paths);
      const bool right = !numbers.empty() && std::all_of(numbers.begin(), numbers.end(),
                                                         [&](auto n) { return n == truth.number; });
      return right ? yes() : no(fmt::format("the answer does not say {}", truth.number));
    }
    case Truth::Answer::names:
      return judge_names(truth, answer);
    case Truth::Answer::exit_code:
      return exit_code_in(answer) == truth.number
                 ? yes()
                 : no(fmt::format("the answer does not say exit code {}", truth.number));
    case Truth::Answer::refusal:
      return refuses(answer) ? yes() : no("the answer does not say that it cannot be done");
  }
  return no("unknown kind of answer");
}

}  // namespace

Verdict judge(const MadeTask& task, const TaskEnd& end) {
  Verdict files = judge_files(task, end.files);
  if (!files.passed && !files.needs_check) return files;
  if (end.status != "finished") return no("the turn did not finish: " + end.status);
  if (Verdict answer = judge_answer(task, end.answer); !answer.passed) return answer;
  return files;
}

}  // namespace sable::evaluation
