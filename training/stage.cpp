#include "training/stage.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/asio.h"
#include "base/file.h"
#include "base/text.h"
#include "sandbox/sandbox.h"
#include "tools/tools.h"

namespace sable::training {

namespace fs = std::filesystem;

struct Workbench::State {
  fs::path folder;
  std::unique_ptr<sandbox::Sandbox> sandbox;
  std::unique_ptr<tools::Workspace> workspace;
  tools::Registry registry = tools::Registry::with_builtins();
  asio::thread_pool workers{1};
};

Workbench::Workbench(std::unique_ptr<State> state) : state_(std::move(state)) {}
Workbench::~Workbench() = default;
const fs::path& Workbench::folder() const { return state_->folder; }

Result<std::unique_ptr<Workbench>> Workbench::open(const fs::path& folder,
                                                   const fs::path& launcher) {
  auto state = std::make_unique<State>();
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail(ErrorCode::io, fmt::format("{}: {}", folder.string(), error.message()));
  state->folder = fs::canonical(folder, error);
  SABLE_TRY(state->sandbox, sandbox::Sandbox::start(launcher));
  return std::unique_ptr<Workbench>(new Workbench(std::move(state)));
}

Result<void> Workbench::lay_out(const MadeRepository& repository) {
  std::error_code error;
  state_->workspace.reset();
  for (const auto& entry : fs::directory_iterator(state_->folder, error)) {
    fs::remove_all(entry.path(), error);
  }
  for (const MadeFile& file : repository.files) {
    fs::create_directories((state_->folder / file.path).parent_path(), error);
    const UniqueFd fd(::open((state_->folder / file.path).c_str(),
                             O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) return fail_errno(file.path, errno);
    SABLE_TRY_VOID(write_all(fd.get(), file.text()));
  }
  SABLE_TRY(state_->workspace, tools::Workspace::open(state_->folder, sandbox::Policy{}));
  return {};
}

Result<tools::Outcome> Workbench::call(const std::string& tool, const Json& arguments) {
  tools::Call call{.id = "c", .name = tool, .arguments = arguments};
  if (const auto checked = state_->registry.check(call); !checked) {
    return tools::Outcome{.ok = false, .text = checked.error().message};
  }
  asio::io_context loop;
  tools::CallContext context{*state_->workspace, *state_->sandbox, state_->workers, {}};
  std::optional<Result<tools::Outcome>> done;
  asio::co_spawn(loop, state_->registry.run(std::move(call), std::move(context)),
                 [&](std::exception_ptr failure, Result<tools::Outcome> result) {
                   if (!failure) done = std::move(result);
                 });
  loop.run();
  if (!done) return fail(ErrorCode::io, tool + " ended without a result");
  return std::move(*done);
}

std::string Workbench::content(const std::string& path) const {
  return read_file(state_->folder / path).value_or("");
}

Stage::Stage(Workbench& bench, const AgentPack& pack, Split split, Random& random)
    : bench_(bench), pack_(pack), split_(split), random_(random) {}

void Stage::begin(const MadeRepository& repository) {
  static constexpr const char* kHomes[] = {
      "/home/$u/$r", "/home/$u/src/$r", "/home/$u/projects/$r", "/opt/$r", "/srv/$u/$r",
      "/root/$r",    "/tmp/$r",         "/home/$u/code/$u/$r"};
  static constexpr const char* kUsers[] = {"ana",  "ben", "chen", "dora", "emil", "fay",  "gil",
                                           "hana", "ivo", "jo",   "kim",  "lea",  "user", "dev"};
  root_ = fill(random_.pick(kHomes), {{"u", random_.pick(kUsers)}, {"r", repository.name}});
  if (!bench_.lay_out(repository)) good_ = false;
}

void Stage::user(std::string text) {
  episode_.messages.push_back({.role = agent::PromptRole::user, .content = std::move(text)});
}

const std::string& Stage::call(const std::string& tool, Json arguments) {
  const std::string id = fmt::format("call_{}", n_calls_++);
  agent::PromptMessage reply{.role = agent::PromptRole::assistant};
  reply.tool_calls.push_back({id, tool, dump_json(arguments)});
  episode_.messages.push_back(std::move(reply));
  ++n_replies_;
  used_tools_.push_back(tool);
  const auto outcome = bench_.call(tool, arguments);
  good_ = good_ && outcome.has_value();
  ok_ = outcome && outcome->ok;
  result_ = outcome ? outcome->text : "";
  const std::string real = bench_.folder().string();
  for (size_t at; (at = result_.find(real)) != std::string::npos;) {
    result_.replace(at, real.size(), root_);
  }
  episode_.messages.push_back(
      {.role = agent::PromptRole::tool, .content = result_, .tool_call_id = id});
  return result_;
}

const std::string& Stage::mistake(const std::string& tool, Json arguments) {
  episode_.mistakes.push_back(n_replies_);
  return call(tool, std::move(arguments));
}

void Stage::answer(std::string text) {
  ++n_replies_;
  episode_.messages.push_back({.role = agent::PromptRole::assistant, .content = std::move(text)});
}

/// The pack's tools in the pack's order, mostly; else shuffled, some of the unneeded left out,
/// strangers added.
std::vector<Json> Stage::offered_tools() {
  std::vector<Json> list;
  const bool varied = random_.chance(0.45);
  for (const agent::OfferedTool& tool : pack_.tools) {
    const bool needed =
        std::find(used_tools_.begin(), used_tools_.end(), tool.name) != used_tools_.end();
    if (varied && !needed && random_.chance(0.3)) continue;
    list.push_back(
        {{"name", tool.name}, {"description", tool.description}, {"parameters", tool.parameters}});
  }
  if (!varied) return list;
  Names names(split_, random_);
  const size_t n_strangers = random_.below(3);
  for (size_t i = 0; i < n_strangers; ++i) {
    const std::string argument = names.word();
    Json parameters{{"type", "object"},
                    {"properties", {{argument, {{"type", "string"}}}}},
                    {"required", Json::array({argument})},
                    {"additionalProperties", false}};
    list.push_back(
        {{"name", names.name(Style::snake, 2)},
         {"description", fmt::format("Gets the {} of a {}.", names.word(), names.word())},
         {"parameters", std::move(parameters)}});
  }
  if (random_.chance(0.5)) random_.shuffle(std::span(list));
  return list;
}

Episode Stage::take(std::string family) {
  agent::AgentConfig config = pack_.config;
  config.read_instructions = false;
  agent::PromptMessage system{.role = agent::PromptRole::system,
                              .content = agent::system_message(config, root_)};
  system.tools = offered_tools();
  episode_.messages.insert(episode_.messages.begin(), std::move(system));
  episode_.family = std::move(family);
  episode_.thinking = random_.chance(0.75);
  return std::move(episode_);
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

}  // namespace sable::training
