#include "runtime/config/settings.h"

#include <type_traits>

#include <fmt/format.h>

#include "base/check.h"
#include "runtime/config/quantity.h"
#include "runtime/config/text_checks.h"

namespace sable::runtime::config {

namespace {

// ---------------------------------------------------------------- where values live

/// Makes a Slot of a function from a Config to a reference to one of its members.
template <class Member>
constexpr auto at(Member) {
  using T = std::remove_reference_t<std::invoke_result_t<Member, Config&>>;
  return Slot<T>{.write = [](Config& config, const std::string&) -> T& { return Member{}(config); },
                 .read = [](const Config& config, const std::string&) -> const T* {
                   return &Member{}(config);
                 }};
}

/// The same for a member of a map's entries: `Map` finds the map, `Member` the value in one entry.
template <class Map, class Member>
constexpr auto in(Map, Member) {
  using Entry = typename std::remove_reference_t<std::invoke_result_t<Map, Config&>>::mapped_type;
  using T = std::remove_reference_t<std::invoke_result_t<Member, Entry&>>;
  return Slot<T>{.write = [](Config& config, const std::string& name) -> T& {
                   return Member{}(Map{}(config)[name]);
                 },
                 .read = [](const Config& config, const std::string& name) -> const T* {
                   const auto& map = Map{}(config);
                   const auto found = map.find(name);
                   return found == map.end() ? nullptr : &Member{}(found->second);
                 }};
}

constexpr auto kProviders = [](auto& config) -> auto& { return config.providers; };
constexpr auto kTools = [](auto& config) -> auto& { return config.tools; };
constexpr auto kEnvironment = [](auto& config) -> auto& { return config.sandbox.environment; };
constexpr auto kItself = [](auto& entry) -> auto& { return entry; };

#define SABLE_AT(member) at([](auto& config) -> auto& { return config.member; })
#define SABLE_IN(map, member) \
  in(                         \
      map, [](auto& entry) -> auto& { return entry.member; })

// ---------------------------------------------------------------- the table

constexpr uint64_t kK = 1024, kM = kK * 1024, kG = kM * 1024;
constexpr uint64_t kSecond = 1000, kHour = 3600 * kSecond;

const Setting kSettings[] = {
    {.key = "model",
     .type = Type::text,
     .slot = SABLE_AT(model),
     .description =
         "The model to use: a name from `providers`, or the path of weights (with a `/` in "
         "it). Empty: the built-in model, where the build has one.",
     .check = check_line},
    {.key = "agent",
     .type = Type::text,
     .slot = SABLE_AT(agent),
     .description =
         "The agent to use, by name: built-in, from `agents/` beside your configuration, or "
         "from a repository that you trusted.",
     .check = check_word},
    {.key = "approve",
     .type = Type::choice,
     .slot = SABLE_AT(approve),
     .description = "What becomes of a call to a tool that wants approval: every call may run, a "
                    "person is asked, or none may run. It never widens the sandbox.",
     .repository = Narrowing::stricter},
    {.key = "log_level",
     .type = Type::choice,
     .slot = SABLE_AT(log_level),
     .description = "The least serious message that is logged."},
    {.key = "home",
     .type = Type::text,
     .slot = SABLE_AT(home),
     .description = "Where sessions and trust are kept. Empty: `sable` in the XDG data folder. The "
                    "variable `SABLE_HOME` overrides your file.",
     .check = check_absolute_or_none},
    {.key = "providers.*.base_url",
     .type = Type::text,
     .slot = SABLE_IN(kProviders, base_url),
     .description =
         "Where an OpenAI-compatible endpoint is, up to and without `/chat/completions`.",
     .check = check_base_url},
    {.key = "providers.*.model",
     .type = Type::text,
     .slot = SABLE_IN(kProviders, model),
     .description = "The model's name at that endpoint.",
     .check = check_line},
    {.key = "providers.*.api_key_env",
     .type = Type::text,
     .slot = SABLE_IN(kProviders, api_key_env),
     .description =
         "The environment variable that holds the key. Empty: no key is sent. A key itself "
         "is refused in every file.",
     .check = check_variable_name},
    {.key = "providers.*.idle_timeout",
     .type = Type::duration,
     .slot = SABLE_IN(kProviders, idle_timeout),
     .description = "How long the endpoint may be silent before the request counts as failed.",
     .minimum = kSecond,
     .maximum = 24 * kHour},
    {.key = "providers.*.ca_file",
     .type = Type::text,
     .slot = SABLE_IN(kProviders, ca_file),
     .description =
         "Certificates (PEM) to trust instead of the system's, for an endpoint with its own "
         "authority.",
     .check = check_absolute_or_none},
    {.key = "tools.*.approval",
     .type = Type::choice,
     .slot = SABLE_IN(kTools, approval),
     .description =
         "Whether calls to this tool run (`allow`), want approval (`ask`) or are refused "
         "(`deny`). Unset: what the tool's definition says.",
     .repository = Narrowing::stricter},
    {.key = "sandbox.network",
     .type = Type::choice,
     .slot = SABLE_AT(sandbox.network),
     .description =
         "Whom a command may talk to: everything that the machine reaches, the hosts of "
         "`sandbox.allowed_hosts` through a proxy, only processes of the same call, or nobody. "
         "`open` is refused in every file: only `--network open` asks for it.",
     .repository = Narrowing::stricter},
    {.key = "sandbox.allowed_hosts",
     .type = Type::list,
     .slot = SABLE_AT(sandbox.allowed_hosts),
     .description = "What `network: allow` lets through: `HOST[:PORT]`, port 443 unless given, "
                    "`*.HOST` for everything below it, `/private` at the end where its addresses "
                    "may be private ones. An empty list lets nothing through.",
     .check = check_allowed_host},
    {.key = "sandbox.files",
     .type = Type::choice,
     .slot = SABLE_AT(sandbox.files),
     .description =
         "What becomes of a command's changes in the repository: they are there at once, or they "
         "are kept apart, shown, and applied or dropped as a whole when the command has ended.",
     .repository = Narrowing::stricter},
    {.key = "sandbox.timeout",
     .type = Type::duration,
     .slot = SABLE_AT(sandbox.timeout),
     .description = "How long a command may run; then it and all that it started are ended.",
     .repository = Narrowing::lower,
     .minimum = 1,
     .maximum = kHour * 24 * 7},
    {.key = "sandbox.memory",
     .type = Type::size,
     .slot = SABLE_AT(sandbox.memory),
     .description = "Memory of all processes of a command together.",
     .repository = Narrowing::lower,
     .minimum = 16 * kM,
     .maximum = kG * 1024 * 16},
    {.key = "sandbox.processes",
     .type = Type::count,
     .slot = SABLE_AT(sandbox.processes),
     .description = "Processes and threads of a command that are alive at once.",
     .repository = Narrowing::lower,
     .minimum = 1,
     .maximum = 1'000'000},
    {.key = "sandbox.output",
     .type = Type::size,
     .slot = SABLE_AT(sandbox.output),
     .description = "Standard output and error of a command together; beyond that it is ended.",
     .repository = Narrowing::lower,
     .minimum = 1,
     .maximum = 64 * kG},
    {.key = "sandbox.temporary",
     .type = Type::size,
     .slot = SABLE_AT(sandbox.temporary),
     .description = "Size of the private `/tmp` and `/dev/shm` of a command.",
     .repository = Narrowing::lower,
     .minimum = 4 * kK,
     .maximum = kG * 1024 * 16},
    {.key = "sandbox.disk",
     .type = Type::size,
     .slot = SABLE_AT(sandbox.disk),
     .description = "How much free space the disks of a command's writable folders may lose while "
                    "it runs; then it is ended. What others write there counts too.",
     .repository = Narrowing::lower,
     .minimum = kM,
     .maximum = kG * 1024 * 16},
    {.key = "sandbox.readable",
     .type = Type::list,
     .slot = SABLE_AT(sandbox.readable),
     .description =
         "Folders and files that a command may read besides the repository and the system's "
         "programs and libraries.",
     .check = check_absolute},
    {.key = "sandbox.masked",
     .type = Type::list,
     .slot = SABLE_AT(sandbox.masked),
     .description = "Folders and files that a command sees empty. A relative path is below the "
                    "repository. Layers add to the list.",
     .repository = Narrowing::add,
     .check = check_path,
     .adds_up = true},
    {.key = "sandbox.environment.*",
     .type = Type::text,
     .slot = in(kEnvironment, kItself),
     .description = "A variable of a command's environment, which else has only a few fixed ones.",
     .check = check_variable_value},
    {.key = "limits.steps",
     .type = Type::count,
     .slot = SABLE_AT(limits.steps),
     .description = "Model replies in one turn.",
     .repository = Narrowing::lower,
     .minimum = 1,
     .maximum = 1'000'000},
    {.key = "limits.tool_calls",
     .type = Type::count,
     .slot = SABLE_AT(limits.tool_calls),
     .description = "Tool calls in one turn.",
     .repository = Narrowing::lower,
     .minimum = 0,
     .maximum = 1'000'000},
    {.key = "limits.time",
     .type = Type::duration,
     .slot = SABLE_AT(limits.time),
     .description = "How long one turn may take.",
     .repository = Narrowing::lower,
     .minimum = kSecond,
     .maximum = kHour * 24 * 30},
    {.key = "limits.output_tokens",
     .type = Type::count,
     .slot = SABLE_AT(limits.output_tokens),
     .description = "Tokens that the model may write in one turn.",
     .repository = Narrowing::lower,
     .minimum = 1,
     .maximum = 1'000'000'000},
    {.key = "sampling.temperature",
     .type = Type::number,
     .slot = SABLE_AT(sampling.temperature),
     .description = "0 always takes the likeliest token. Unset: the provider's own default.",
     .lowest = 0,
     .highest = 2},
    {.key = "sampling.top_p",
     .type = Type::number,
     .slot = SABLE_AT(sampling.top_p),
     .description =
         "Samples among the likeliest tokens that together have this probability. Unset: the "
         "provider's own default.",
     .lowest = 0,
     .highest = 1},
    {.key = "sampling.seed",
     .type = Type::count,
     .slot = SABLE_AT(sampling.seed),
     .description = "Makes sampling repeatable where the provider can. Unset: none is sent."},
    {.key = "sampling.output_tokens_max",
     .type = Type::count,
     .slot = SABLE_AT(sampling.output_tokens_max),
     .description = "Tokens of one reply.",
     .repository = Narrowing::lower,
     .minimum = 1,
     .maximum = 10'000'000},
    {.key = "server.listen",
     .type = Type::text,
     .slot = SABLE_AT(server.listen),
     .description = "The address and port of `sable serve`; port 0 picks a free one.",
     .check = check_listen},
    {.key = "server.allowed_origins",
     .type = Type::list,
     .slot = SABLE_AT(server.allowed_origins),
     .description = "Origins of web pages that may connect; none may otherwise.",
     .check = check_origin},
    {.key = "server.allowed_hosts",
     .type = Type::list,
     .slot = SABLE_AT(server.allowed_hosts),
     .description = "`Host` names, besides the loopback ones, under which the server answers.",
     .check = check_host},
    {.key = "retention.days",
     .type = Type::count,
     .slot = SABLE_AT(retention.days),
     .description =
         "Sessions whose newest event is older are removed, for good, beside the work of "
         "`sable run` and `sable serve` and by `sable session prune`; never one that a "
         "process has open. Unset: none goes by its age.",
     .minimum = 1,
     .maximum = 36'500},
    {.key = "retention.size",
     .type = Type::size,
     .slot = SABLE_AT(retention.size),
     .description = "The oldest sessions are removed in the same way while the events and kept "
                    "outputs of all sessions take more than this. Unset: none goes for its size.",
     .minimum = kM,
     .maximum = kG * 1024 * 16},
    {.key = "cache.size",
     .type = Type::size,
     .slot = SABLE_AT(cache.size),
     .description =
         "What the cache snapshots of the built-in engine may take on the disk; the longest unused "
         "go first. `0` keeps none. Unset: a quarter of what the disk has free beside them, and at "
         "most 64G.",
     .maximum = kG * 1024 * 16},
};

#undef SABLE_AT
#undef SABLE_IN

template <class Map>
std::vector<std::string> keys_of(const Map& map) {
  std::vector<std::string> names;
  for (const auto& [name, entry] : map) names.push_back(name);
  return names;
}

const OpenMapping kOpenMappings[] = {
    {.prefix = "providers",
     .what = "a provider's name",
     .names = [](const Config& config) { return keys_of(config.providers); }},
    {.prefix = "tools",
     .what = "a tool's name",
     .names = [](const Config& config) { return keys_of(config.tools); }},
    {.prefix = "sandbox.environment",
     .what = "a variable's name",
     .variables = true,
     .names = [](const Config& config) { return keys_of(config.sandbox.environment); }},
};

}  // namespace

std::span<const Setting> settings() { return kSettings; }

std::span<const OpenMapping> open_mappings() { return kOpenMappings; }

const OpenMapping* open_mapping_of(const Setting& setting) {
  const auto prefix = setting.key.substr(0, setting.key.find(".*"));
  for (const auto& mapping : kOpenMappings) {
    if (mapping.prefix == prefix) return &mapping;
  }
  return nullptr;
}

std::string with_name(std::string_view key, std::string_view name) {
  const auto star = key.find('*');
  if (star == std::string_view::npos) return std::string(key);
  return fmt::format("{}{}{}", key.substr(0, star), name, key.substr(star + 1));
}

}  // namespace sable::runtime::config
