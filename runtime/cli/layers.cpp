#include "runtime/cli/layers.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace sable::runtime {

namespace {

std::string_view name_of(sandbox::Layer::State state) {
  switch (state) {
    case sandbox::Layer::State::enforced:
      return "enforced";
    case sandbox::Layer::State::degraded:
      return "degraded";
    case sandbox::Layer::State::missing:
      return "missing";
  }
  return "missing";
}

}  // namespace

Json layers_to_json(const std::vector<sandbox::Layer>& layers) {
  Json list = Json::array();
  for (const auto& layer : layers) {
    list.push_back({{"name", layer.name},
                    {"state", name_of(layer.state)},
                    {"detail", layer.detail},
                    {"remedy", layer.remedy},
                    {"required", layer.required}});
  }
  return list;
}

std::string layers_to_text(const std::vector<sandbox::Layer>& layers, const Style& style) {
  size_t width = 0;
  for (const auto& layer : layers) width = std::max(width, layer.name.size());
  std::string text;
  for (const auto& layer : layers) {
    const auto state = fmt::format("{:<8}", name_of(layer.state));
    text += fmt::format("  {:<{}}  {}  {}\n", layer.name, width,
                        layer.state == sandbox::Layer::State::enforced   ? style.green(state)
                        : layer.state == sandbox::Layer::State::degraded ? style.yellow(state)
                                                                         : style.red(state),
                        escape_controls(layer.detail));
    if (!layer.remedy.empty()) {
      text += fmt::format("  {:<{}}            {}\n", "", width, escape_controls(layer.remedy));
    }
  }
  return text;
}

bool all_required_enforced(const std::vector<sandbox::Layer>& layers) {
  return std::none_of(layers.begin(), layers.end(), [](const sandbox::Layer& layer) {
    return layer.required && layer.state == sandbox::Layer::State::missing;
  });
}

}  // namespace sable::runtime
