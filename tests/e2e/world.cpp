#include "tests/e2e/world.h"

#include <fcntl.h>
#include <thread>

#include <catch2/catch.hpp>

#include "base/check.h"
#include "base/text.h"

namespace sable::test {

namespace fs = std::filesystem;

std::vector<Json> Finished::json_lines() const {
  std::vector<Json> lines;
  for (const auto line : split_lines(out)) {
    if (auto json = parse_json(line); json && json->is_object()) lines.push_back(std::move(*json));
  }
  return lines;
}

World::World() : repository_(folder_ / "repository") {
  fs::create_directory(folder_ / "user");
  fs::copy(fs::path(SABLE_SOURCE_DIR) / "configs/examples/interval", repository_,
           fs::copy_options::recursive);
  fs::remove_all(repository_ / "build");
}

ScriptedModelServer& World::play(const Json& replies) {
  auto script = Script::parse(dump_json(Json{{"replies", replies}}));
  SABLE_CHECK(script.has_value());
  auto server = ScriptedModelServer::start(std::move(*script));
  SABLE_CHECK(server.has_value());
  model_ = std::move(*server);
  return *model_;
}

std::vector<std::string> World::model_arguments() const {
  return {"--base-url", model_->base_url(), "--model", "scripted"};
}

std::vector<std::string> World::environment() const {
  return {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + (folder_ / "user").string(),
          "SABLE_HOME=" + home().string(), "TEST_KEY=secret-key-of-the-test"};
}

ChildProcess World::start(std::vector<std::string> arguments, const std::string& name) const {
  arguments.insert(arguments.begin(), program());
  return start_program(std::move(arguments), name);
}

ChildProcess World::start_program(std::vector<std::string> argv, const std::string& name) const {
  const auto open_for = [&](const std::string& suffix) {
    return UniqueFd(::open((folder_ / (name + suffix)).c_str(),
                           O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  };
  const auto out = open_for(".out"), err = open_for(".err");
  auto process = ChildProcess::start({.argv = std::move(argv),
                                      .environment = environment(),
                                      .working_directory = folder_.path().string(),
                                      .stdout_fd = out.get(),
                                      .stderr_fd = err.get()});
  SABLE_CHECK(process.has_value());
  return std::move(*process);
}

Finished World::finish(ChildProcess& process, const std::string& name,
                       std::chrono::milliseconds limit) const {
  Finished finished;
  if (const auto status = process.wait_for(limit * SABLE_PATIENCE)) {
    finished.exit_code = status->signal != 0 ? -1 : status->exit_code;
    finished.signal = status->signal;
  }
  finished.out = folder_.read(name + ".out");
  finished.err = folder_.read(name + ".err");
  return finished;
}

Finished World::sable(std::vector<std::string> arguments) const {
  auto process = start(std::move(arguments), "sable");
  return finish(process, "sable");
}

Finished World::run(const std::string& task, std::vector<std::string> further) const {
  std::vector<std::string> arguments{"run", task, "--repo", repository_.string()};
  const auto model = model_arguments();
  arguments.insert(arguments.end(), model.begin(), model.end());
  arguments.insert(arguments.end(), further.begin(), further.end());
  auto process = start(std::move(arguments));
  return finish(process);
}

bool World::wait_for(const fs::path& file) const {
  for (int i = 0; i < 2000; ++i) {
    if (fs::exists(file)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

Json tool_call(const std::string& name, const Json& arguments) {
  return Json{{"name", name}, {"arguments", arguments}};
}

Json object_of(const Finished& finished) {
  INFO(finished.out << finished.err);
  REQUIRE(finished.exit_code == 0);
  REQUIRE(finished.json_lines().size() == 1);
  return finished.json_lines().front();
}

std::vector<std::string> types_of(const std::vector<Json>& events) {
  std::vector<std::string> types;
  for (const auto& event : events) types.push_back(string_or(event, "type", "?"));
  return types;
}

std::vector<Json> data_of(const std::vector<Json>& events, std::string_view type) {
  std::vector<Json> found;
  for (const auto& event : events) {
    if (string_or(event, "type", "") == type) found.push_back(event["data"]);
  }
  return found;
}

std::vector<Json> tokens_of(const std::vector<Json>& events) {
  std::vector<Json> found;
  for (const auto& reply : data_of(events, "model.finished")) {
    found.push_back(reply["replay"]["tokens"]);
  }
  return found;
}

}  // namespace sable::test
