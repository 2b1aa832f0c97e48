// Which tools a model is offered, and how they are put to it.

#include <algorithm>

#include <fmt/format.h>

#include "agent/agent.h"

namespace sable::agent {

namespace {

/// The tool's schema with only the parameters that the offer names, in its order and words.
Result<Json> narrowed(const Json& parameters,
                      const std::vector<std::pair<std::string, std::string>>& offered) {
  Json narrow = parameters;
  Json properties = Json::object();
  const Json known = parameters.value("properties", Json::object());
  for (const auto& [name, description] : offered) {
    if (!known.contains(name)) {
      return fail(ErrorCode::invalid_input, fmt::format("it has no parameter \"{}\"", name));
    }
    properties[name] = known[name];
    if (!properties[name].is_object()) continue;
    properties[name].erase("description");
    if (!description.empty()) properties[name]["description"] = description;
  }
  for (const auto& name : parameters.value("required", Json::array())) {
    if (!properties.contains(name.get<std::string>())) {
      return fail(ErrorCode::invalid_input, fmt::format("its required parameter \"{}\" is left out",
                                                        name.get<std::string>()));
    }
  }
  narrow["properties"] = std::move(properties);
  return narrow;
}

Result<OfferedTool> offered(const tools::Definition& tool, const AgentConfig& agent) {
  OfferedTool result{tool.name, tool.description, tool.parameters};
  const auto it = agent.offers.find(tool.name);
  if (it == agent.offers.end()) return result;
  const ToolOffer& offer = it->second;
  if (!offer.description.empty()) result.description = offer.description;
  if (offer.parameters) {
    auto schema = narrowed(tool.parameters, *offer.parameters);
    if (!schema) {
      return fail_in(fmt::format("agent {}: tool {}", agent.name, tool.name),
                     std::move(schema.error()));
    }
    result.parameters = std::move(*schema);
  }
  return result;
}

}  // namespace

Result<std::vector<OfferedTool>> offered_tools(const tools::Registry& registry,
                                               const AgentConfig& agent) {
  std::vector<OfferedTool> result;
  for (const auto* tool : registry.list()) {
    const auto& wanted = agent.tools;
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), tool->name) == wanted.end()) {
      continue;
    }
    SABLE_TRY(auto one, offered(*tool, agent));
    result.push_back(std::move(one));
  }
  return result;
}

}  // namespace sable::agent
