#include "evaluation/stage.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "base/json.h"

namespace sable::evaluation {

Stage::Stage(Workbench& bench, const World& world, Random& random)
    : bench_(bench), world_(world), random_(random) {}

namespace {

/// A path of several folders whose names say nothing, as build machines have them.
std::string deep_root(const std::string& repository, Random& random) {
  static constexpr const char* kTops[] = {"home", "tmp", "work", "srv", "root", "var/tmp"};
  static constexpr const char* kParts[] = {"work", "repos", "checkout", "sable", "data", "projects",
                                           "git",  "code",  "mnt",      "tasks", "eval", "fix"};
  static constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::string root = std::string("/") + random.pick(kTops);
  for (size_t n = random.between(1, 4); n > 0; --n) {
    root += std::string("/") + random.pick(kParts);
    if (random.chance(0.5)) continue;
    root += '-';
    for (size_t k = random.between(1, 6); k > 0; --k) root += random.pick(kLetters);
  }
  return root + "/" + repository;
}

}  // namespace

void Stage::begin(const MadeRepository& repository) {
  static constexpr const char* kHomes[] = {
      "/home/$u/$r", "/home/$u/src/$r", "/home/$u/projects/$r", "/opt/$r", "/srv/$u/$r",
      "/root/$r",    "/tmp/$r",         "/home/$u/code/$u/$r"};
  static constexpr const char* kUsers[] = {"ana",  "ben", "chen", "dora", "emil", "fay",  "gil",
                                           "hana", "ivo", "jo",   "kim",  "lea",  "user", "dev"};
  play_.root = fill(random_.pick(kHomes), {{"u", random_.pick(kUsers)}, {"r", repository.name}});
  if (random_.chance(0.4)) play_.root = deep_root(repository.name, random_);
  play_.repository = repository;
  if (!bench_.lay_out(repository.contents())) good_ = false;
}

void Stage::user(std::string text) {
  play_.messages.push_back({.role = agent::PromptRole::user, .content = std::move(text)});
}

const std::string& Stage::call(const std::string& tool, Json arguments) {
  const std::string id = fmt::format("call_{}", n_calls_++);
  agent::PromptMessage reply{.role = agent::PromptRole::assistant};
  reply.tool_calls.push_back({id, tool, dump_json(arguments)});
  play_.messages.push_back(std::move(reply));
  ++n_replies_;
  play_.used_tools.push_back(tool);
  const auto outcome = bench_.call(tool, arguments);
  good_ = good_ && outcome.has_value();
  ok_ = outcome && outcome->ok;
  result_ = outcome ? outcome->text : "";
  const std::string real = bench_.folder().string();
  for (size_t at; (at = result_.find(real)) != std::string::npos;) {
    result_.replace(at, real.size(), play_.root);
  }
  play_.messages.push_back(
      {.role = agent::PromptRole::tool, .content = result_, .tool_call_id = id});
  return result_;
}

const std::string& Stage::mistake(const std::string& tool, Json arguments) {
  play_.mistakes.push_back(n_replies_);
  return call(tool, std::move(arguments));
}

void Stage::answer(std::string text) {
  ++n_replies_;
  play_.messages.push_back({.role = agent::PromptRole::assistant, .content = std::move(text)});
}

std::vector<Hit> hits_of(const std::string& result) {
  std::vector<Hit> hits;
  size_t at = 0;
  while (at < result.size()) {
    const size_t end = std::min(result.find('\n', at), result.size());
    const std::string line = result.substr(at, end - at);
    at = end + 1;
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (line.starts_with("[") || first == std::string::npos || second == std::string::npos)
      continue;
    hits.push_back({line.substr(0, first), line.substr(second + 1),
                    static_cast<size_t>(std::atoll(line.c_str() + first + 1))});
  }
  return hits;
}

}  // namespace sable::evaluation
