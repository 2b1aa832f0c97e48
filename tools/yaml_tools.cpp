// From the text of a YAML file to tools: every field checked where it stands, examples tried.
#include "tools/yaml_tools.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "tools/json_pointer.h"
#include "tools/shown_text.h"
#include "tools/yaml_fields.h"

namespace sable::tools {

namespace {

constexpr size_t kToolsMax = 256;
constexpr size_t kExampleBytesMax = 1 << 16;

/// Where in the YAML a JSON pointer of the schema leads, as far as it can be followed.
const YamlValue& follow(const YamlValue& value, std::string_view pointer) {
  const YamlValue* at = &value;
  while (pointer.starts_with('/')) {
    pointer.remove_prefix(1);
    const size_t slash = pointer.find('/');
    const std::string part = json_pointer_key(pointer.substr(0, slash));
    pointer = slash == std::string_view::npos ? std::string_view() : pointer.substr(slash);
    const YamlValue* next = nullptr;
    if (at->kind == YamlValue::Kind::mapping) next = at->find(part);
    if (at->kind == YamlValue::Kind::sequence && !part.empty() && part.size() < 7 &&
        part.find_first_not_of("0123456789") == std::string::npos &&
        std::stoul(part) < at->items.size()) {
      next = &at->items[std::stoul(part)];
    }
    if (next == nullptr) break;
    at = next;
  }
  return *at;
}

class ToolReader {
 public:
  ToolReader(std::string_view file, const ProfileLookup& profiles)
      : file_(file), profiles_(profiles) {}

  Result<Tool> read(const YamlValue& value) {
    SABLE_TRY(const auto fields,
              YamlFields::open(file_, value,
                               {"name", "description", "parameters", "run", "limits", "sandbox",
                                "approval", "effect", "output", "examples"}));
    Tool result;
    Definition& definition = result.definition;
    definition.source = file_;
    SABLE_TRY_VOID(read_name(fields, definition));
    SABLE_TRY(definition.description, fields.text("description"));
    if (definition.description.empty()) return fields.fail("the description is empty");
    SABLE_TRY_VOID(read_parameters(fields, result));
    CommandSpec spec;
    SABLE_TRY_VOID(read_effect(fields, definition, spec));
    SABLE_TRY_VOID(read_approval(fields, result));
    SABLE_TRY_VOID(read_run(fields, spec));
    SABLE_TRY_VOID(read_limits(fields, spec));
    SABLE_TRY_VOID(read_sandbox(fields, spec));
    SABLE_TRY_VOID(read_output(fields, spec));
    spec.defaults = defaults_;
    result.defaults = defaults_;
    SABLE_TRY_VOID(try_examples(fields, result.schema, spec));
    result.runner = command_runner(std::move(spec));
    return result;
  }

 private:
  Result<void> read_name(const YamlFields& fields, Definition& definition) {
    SABLE_TRY(definition.name, fields.text("name"));
    if (!is_tool_name(definition.name)) {
      return fail_at(file_, *fields.find("name"),
                     "a name has 1 to 64 letters, digits, \"_\" and \"-\"");
    }
    return {};
  }

  Result<void> read_parameters(const YamlFields& fields, Tool& tool) {
    SABLE_TRY(const YamlValue* value, fields.need("parameters"));
    auto document = value->as_json();
    if (!document) return fail_at(file_, *value, document.error().message);
    auto schema = Schema::compile(*document);
    if (!schema) {
      // The message begins with the pointer of the keyword; the place is worth more to a person.
      const std::string& message = schema.error().message;
      return fail_at(file_, follow(*value, std::string_view(message).substr(0, message.find(": "))),
                     "parameters: " + message);
    }
    if (string_or(*document, "type", "") != "object") {
      return fail_at(file_, *value, "parameters: expected \"type: object\"");
    }
    if (const auto properties = document->find("properties"); properties != document->end()) {
      for (const auto& [name, property] : properties->items()) {
        names_.all.push_back(name);
        if (!property.is_object() || !property.contains("default")) continue;
        defaults_[name] = property["default"];
        names_.always.insert(name);
      }
    }
    for (const auto& name : schema->nodes()[0].required) names_.always.insert(name);
    tool.definition.parameters = std::move(*document);
    tool.schema = std::move(*schema);
    return {};
  }

  Result<void> read_effect(const YamlFields& fields, Definition& definition, CommandSpec& spec) {
    SABLE_TRY(const std::string effect, fields.text_or("effect", "command"));
    if (effect == "none") {
      definition.effect = Effect::none;
      spec.reads_only = true;
    } else if (effect == "command") {
      definition.effect = Effect::command;
    } else {
      return fail_at(file_, *fields.find("effect"),
                     "expected none (it only reads: the workspace is read-only for it) or command");
    }
    return {};
  }

  Result<void> read_approval(const YamlFields& fields, Tool& result) {
    const YamlValue* value = fields.find("approval");
    if (value == nullptr) return {};
    if (value->kind == YamlValue::Kind::scalar)
      return read_class(*value, result.definition.approval);
    SABLE_TRY(const auto inner, YamlFields::open(file_, *value, {"default", "rules"}));
    if (const YamlValue* by_default = inner.find("default")) {
      SABLE_TRY_VOID(read_class(*by_default, result.definition.approval));
    }
    const YamlValue* rules = inner.find("rules");
    if (rules == nullptr) return {};
    if (rules->kind != YamlValue::Kind::sequence)
      return fail_at(file_, *rules, "expected a list of rules");
    for (const auto& rule : rules->items) {
      SABLE_TRY(auto read, read_rule(rule));
      result.approval_rules.push_back(std::move(read));
    }
    return {};
  }

  Result<void> read_class(const YamlValue& value, Approval& target) {
    const auto text = value.as_string();
    const auto approval = parse_approval(text ? *text : "");
    if (!approval) return fail_at(file_, value, approval.error().message);
    target = *approval;
    return {};
  }

  Result<ApprovalRule> read_rule(const YamlValue& value) {
    SABLE_TRY(const auto fields, YamlFields::open(file_, value, {"argument", "matches", "then"}));
    ApprovalRule rule;
    SABLE_TRY(rule.argument, fields.text("argument"));
    if (const auto known = check_place({.name = rule.argument}, names_, true); !known) {
      return fail_at(file_, *fields.find("argument"), known.error().message);
    }
    SABLE_TRY(const std::string source, fields.text("matches"));
    auto pattern = Pattern::compile(source);
    if (!pattern) return fail_at(file_, *fields.find("matches"), pattern.error().message);
    rule.pattern = std::move(*pattern);
    SABLE_TRY(const YamlValue* then, fields.need("then"));
    SABLE_TRY_VOID(read_class(*then, rule.approval));
    return rule;
  }

  Result<TextTemplate> read_template(const YamlValue& value) {
    auto text = value.as_string();
    if (!text)
      return fail_at(file_, value, "expected a text; quote it when it begins with a brace");
    auto parsed = TextTemplate::parse(*text);
    if (!parsed) return fail_at(file_, value, parsed.error().message);
    return parsed;
  }

  Result<void> read_run(const YamlFields& fields, CommandSpec& spec) {
    SABLE_TRY(const YamlValue* value, fields.need("run"));
    SABLE_TRY(const auto run, YamlFields::open(file_, *value,
                                               {"argv", "stdin", "environment", "working_directory",
                                                "may_begin_with_dash"}));
    SABLE_TRY(const YamlValue* argv, run.need("argv"));
    if (argv->kind != YamlValue::Kind::sequence || argv->items.empty()) {
      return fail_at(file_, *argv, "expected a list: the program and its arguments, each an item");
    }
    for (const auto& item : argv->items) {
      SABLE_TRY(auto part, read_part(item));
      spec.argv.add(std::move(part));
    }
    SABLE_TRY(const auto dashed, run.texts("may_begin_with_dash"));
    for (const auto& name : dashed) {
      if (const auto known = check_place({.name = name}, names_, true); !known) {
        return fail_at(file_, *run.find("may_begin_with_dash"), known.error().message);
      }
      spec.argv.allow_dash(name);
    }
    if (const auto good = spec.argv.check(names_); !good) {
      return fail_at(file_, *argv, good.error().message);
    }
    if (const YamlValue* text = run.find("stdin")) {
      SABLE_TRY(spec.stdin_text, read_text(*text));
    }
    const TextTemplate* const input = spec.stdin_text ? &*spec.stdin_text : nullptr;
    if (const auto fault = spec.argv.program_text_fault(input)) {
      return fail_at(file_, fault->in_stdin ? *run.find("stdin") : item_of(*argv, *fault),
                     fault->why);
    }
    SABLE_TRY(spec.working_directory, run.text_or("working_directory", ""));
    return read_environment(run, spec);
  }

  /// A template outside of argv: all its arguments must always be there.
  Result<TextTemplate> read_text(const YamlValue& value) {
    SABLE_TRY(auto text, read_template(value));
    for (const auto& place : text.places()) {
      if (place.as_items) return fail_at(file_, value, "\"{name...}\" stands only in argv");
      if (const auto known = check_place(place, names_, false); !known) {
        return fail_at(file_, value, known.error().message);
      }
    }
    return text;
  }

  Result<ArgvTemplate::Part> read_part(const YamlValue& value) {
    ArgvTemplate::Part part;
    const YamlValue* items = &value;
    if (value.kind == YamlValue::Kind::scalar) {
      SABLE_TRY(auto text, read_template(value));
      part.items.push_back({.text = std::move(text)});
      return part;
    }
    part.optional = true;
    if (value.kind == YamlValue::Kind::mapping) {
      SABLE_TRY(const auto fields, YamlFields::open(file_, value, {"if", "then"}));
      SABLE_TRY(part.condition, fields.text("if"));
      if (const auto known = check_place({.name = part.condition}, names_, true); !known) {
        return fail_at(file_, *fields.find("if"), known.error().message);
      }
      SABLE_TRY(items, fields.need("then"));
    }
    if (items->kind != YamlValue::Kind::sequence || items->items.empty()) {
      return fail_at(file_, *items, "expected a text, a list of texts, or {if: NAME, then: [...]}");
    }
    for (const auto& item : items->items) {
      SABLE_TRY(auto text, read_template(item));
      part.items.push_back({.text = std::move(text)});
    }
    return part;
  }

  /// An item of argv, which may stand in a group.
  static const YamlValue& item_of(const YamlValue& argv, const ProgramTextFault& fault) {
    const YamlValue& part = argv.items.at(fault.part);
    const YamlValue* const then = part.find("then");
    const YamlValue& group = then != nullptr ? *then : part;
    return group.kind == YamlValue::Kind::sequence ? group.items.at(fault.word) : part;
  }

  Result<void> read_environment(const YamlFields& run, CommandSpec& spec) {
    const YamlValue* value = run.find("environment");
    if (value == nullptr) return {};
    if (value->kind != YamlValue::Kind::mapping)
      return fail_at(file_, *value, "expected a mapping");
    for (const auto& [key, text] : value->entries) {
      const std::string& name = key.scalar;
      const bool good = !name.empty() && (name[0] < '0' || name[0] > '9') &&
                        std::all_of(name.begin(), name.end(), [](char c) {
                          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                 (c >= '0' && c <= '9') || c == '_';
                        });
      if (!good) return fail_at(file_, key, "a variable has letters, digits and \"_\"");
      SABLE_TRY(auto parsed, read_text(text));
      if (!parsed.places().empty() && is_start_up_variable(name)) {
        return fail_at(file_, text,
                       fmt::format("\"{{{}}}\" would stand in {}, by which programs find or run "
                                   "code when they start; give this variable a fixed value, and "
                                   "the argument in a variable of the tool's own",
                                   parsed.places()[0].name, name));
      }
      spec.environment.emplace_back(name, std::move(parsed));
    }
    return {};
  }

  Result<void> read_limits(const YamlFields& fields, CommandSpec& spec) {
    const YamlValue* value = fields.find("limits");
    if (value == nullptr) return {};
    SABLE_TRY(const auto limits,
              YamlFields::open(file_, *value,
                               {"timeout_seconds", "memory_bytes", "output_bytes", "processes"}));
    SABLE_TRY(const auto seconds, limits.number("timeout_seconds", 0, 86'400));
    if (seconds) {
      spec.wall =
          std::chrono::milliseconds(std::max<int64_t>(1, static_cast<int64_t>(*seconds * 1000)));
    }
    constexpr int64_t kBytesMost = int64_t{1} << 50;
    SABLE_TRY(const auto memory, limits.whole("memory_bytes", 1 << 20, kBytesMost));
    if (memory) spec.memory_bytes = static_cast<uint64_t>(*memory);
    SABLE_TRY(const auto output, limits.whole("output_bytes", 1, kBytesMost));
    if (output) spec.output_bytes = static_cast<uint64_t>(*output);
    SABLE_TRY(const auto processes, limits.whole("processes", 1, 100'000));
    if (processes) spec.processes = static_cast<uint32_t>(*processes);
    return {};
  }

  Result<void> read_sandbox(const YamlFields& fields, CommandSpec& spec) {
    const YamlValue* value = fields.find("sandbox");
    if (value == nullptr) return {};
    SABLE_TRY(
        const auto inner,
        YamlFields::open(file_, *value, {"profile", "network", "workspace", "files", "masked"}));
    SABLE_TRY(const std::string profile, inner.text_or("profile", ""));
    if (const YamlValue* place = inner.find("profile")) {
      if (!profiles_) return fail_at(file_, *place, "sandbox profiles are not known here");
      auto policy = profiles_(profile);
      if (!policy) return fail_at(file_, *place, policy.error().message);
      spec.profile = std::move(*policy);
    }
    SABLE_TRY(const std::string network, inner.text_or("network", ""));
    if (network == "none") {
      spec.network = sandbox::Network::none;
    } else if (network == "loopback") {
      spec.network = sandbox::Network::loopback;
    } else if (inner.find("network") != nullptr) {
      return fail_at(file_, *inner.find("network"),
                     "a tool can only give up the network: none or loopback");
    }
    SABLE_TRY(const auto masked, inner.texts("masked"));
    for (const auto& path : masked) {
      if (path.empty()) return fail_at(file_, *inner.find("masked"), "a path is empty");
      spec.masked.emplace_back(path);
    }
    SABLE_TRY(const std::string workspace, inner.text_or("workspace", ""));
    if (inner.find("workspace") != nullptr && workspace != "read-only") {
      return fail_at(file_, *inner.find("workspace"), "a tool can only give up writing: read-only");
    }
    spec.reads_only = spec.reads_only || workspace == "read-only";
    SABLE_TRY(const std::string files, inner.text_or("files", ""));
    if (inner.find("files") != nullptr && files != "transaction") {
      return fail_at(file_, *inner.find("files"),
                     "a tool can only give up changing files at once: transaction");
    }
    spec.keeps_changes_apart = files == "transaction";
    return {};
  }

  Result<void> read_output(const YamlFields& fields, CommandSpec& spec) {
    const YamlValue* value = fields.find("output");
    if (value == nullptr) return {};
    SABLE_TRY(const auto output, YamlFields::open(file_, *value, {"format", "exit_codes"}));
    SABLE_TRY(const std::string format, output.text_or("format", "text"));
    if (format != "text" && format != "json") {
      return fail_at(file_, *output.find("format"), "expected text or json");
    }
    spec.json_output = format == "json";
    const YamlValue* codes = output.find("exit_codes");
    if (codes == nullptr) return {};
    if (codes->kind != YamlValue::Kind::mapping) {
      return fail_at(file_, *codes, "expected a mapping of exit codes to what they mean");
    }
    for (const auto& [key, entry] : codes->entries) {
      SABLE_TRY_VOID(read_exit_code(key, entry, spec));
    }
    return {};
  }

  Result<void> read_exit_code(const YamlValue& key, const YamlValue& value, CommandSpec& spec) {
    // A key is its text, quoted or not.
    int code = -1;
    const char* const end = key.scalar.data() + key.scalar.size();
    const auto parsed = std::from_chars(key.scalar.data(), end, code);
    if (parsed.ec != std::errc() || parsed.ptr != end || code < 0 || code > 255) {
      return fail_at(file_, key, "expected an exit code, 0 to 255");
    }
    ExitMeaning meaning{.ok = code == 0};
    if (value.kind == YamlValue::Kind::scalar) {
      meaning.text = value.scalar;
    } else {
      SABLE_TRY(const auto fields, YamlFields::open(file_, value, {"ok", "means"}));
      SABLE_TRY(meaning.text, fields.text_or("means", ""));
      if (const YamlValue* ok = fields.find("ok")) {
        const auto flag = ok->as_bool();
        if (!flag) return fail_at(file_, *ok, "expected true or false");
        meaning.ok = *flag;
      }
    }
    spec.exit_codes[code] = std::move(meaning);
    return {};
  }

  Result<void> try_examples(const YamlFields& fields, const Schema& schema,
                            const CommandSpec& spec) {
    // The defaults must fit as well, since they are put in without a check.
    const YamlValue& parameters = *fields.find("parameters");
    for (const auto& [name, index] : schema.nodes()[0].properties) {
      const auto it = defaults_.find(name);
      if (it == defaults_.end()) continue;
      Json probe = Json::object();
      probe[name] = *it;
      for (const auto& violation : schema.check(probe)) {
        if (!violation.pointer.starts_with("/" + name))
          continue;  // of required ones that are not here
        return fail_at(file_, follow(parameters, "/properties/" + name + "/default"),
                       fmt::format("the default does not fit: expected {}, got {}",
                                   violation.expected, violation.got));
      }
    }
    const YamlValue* examples = fields.find("examples");
    if (examples == nullptr) return {};
    if (examples->kind != YamlValue::Kind::sequence)
      return fail_at(file_, *examples, "expected a list");
    for (const auto& example : examples->items) {
      SABLE_TRY_VOID(try_example(example, schema, spec));
    }
    return {};
  }

  Result<void> try_example(const YamlValue& value, const Schema& schema, const CommandSpec& spec) {
    SABLE_TRY(const auto fields, YamlFields::open(file_, value, {"about", "arguments", "runs"}));
    SABLE_TRY_VOID(fields.text_or("about", ""));
    SABLE_TRY(const YamlValue* arguments, fields.need("arguments"));
    auto json = arguments->as_json();
    if (!json) return fail_at(file_, *arguments, json.error().message);
    if (dump_json(*json).size() > kExampleBytesMax) return fail_at(file_, *arguments, "too large");
    if (const auto violations = schema.check(*json); !violations.empty()) {
      return fail_at(
          file_, follow(*arguments, violations[0].pointer),
          fmt::format("this example does not fit the parameters: at {}: expected {}, got {}",
                      violations[0].pointer.empty() ? "/" : violations[0].pointer,
                      violations[0].expected, violations[0].got));
    }
    const auto command = render(spec, *json);
    if (!command) return fail_at(file_, *arguments, command.error().message);
    const YamlValue* runs = fields.find("runs");
    if (runs == nullptr) return {};
    SABLE_TRY(const auto expected, fields.texts("runs"));
    if (expected != command->argv) {
      return fail_at(file_, *runs,
                     fmt::format("this example runs {}", dump_json(Json(command->argv))));
    }
    return {};
  }

  std::string file_;
  const ProfileLookup& profiles_;
  ArgumentNames names_;
  Json defaults_ = Json::object();
};

}  // namespace

Result<std::vector<Tool>> read_yaml_tools(std::string_view text, std::string_view file,
                                          const ProfileLookup& profiles) {
  const std::string name = shown_path(file);  // it stands in one line of each message
  SABLE_TRY(const YamlValue root, parse_yaml(text, name));
  SABLE_TRY(const auto fields, YamlFields::open(name, root, {"tools"}));
  SABLE_TRY(const YamlValue* list, fields.need("tools"));
  if (list->kind != YamlValue::Kind::sequence)
    return fail_at(name, *list, "expected a list of tools");
  if (list->items.size() > kToolsMax) {
    return fail_at(name, *list, fmt::format("more than {} tools", kToolsMax));
  }
  std::vector<Tool> tools;
  for (const auto& item : list->items) {
    ToolReader reader(name, profiles);
    SABLE_TRY(Tool tool, reader.read(item));
    for (const auto& other : tools) {
      if (other.definition.name == tool.definition.name) {
        return fail_at(name, item, fmt::format("a second tool \"{}\"", tool.definition.name));
      }
    }
    tools.push_back(std::move(tool));
  }
  return tools;
}

std::string place_of_tool(std::string_view text, std::string_view file, std::string_view name) {
  std::string place = "1:1";
  const auto root = parse_yaml(text, std::string(file));
  const YamlValue* list = root ? root->find("tools") : nullptr;
  for (const auto& item : list != nullptr ? list->items : std::vector<YamlValue>()) {
    const YamlValue* value = item.find("name");
    if (value != nullptr && value->scalar == name) place = value->place();
  }
  return fmt::format("{}:{}", shown_path(file), place);
}

}  // namespace sable::tools
