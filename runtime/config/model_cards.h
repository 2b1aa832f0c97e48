// Models by name: files that say where weights lie and how they want to be used.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/config/config.h"

namespace sable::runtime::config {

/// Reads one NAME.yaml (docs/configuration.md, "Models"). Its name must be the file's own. A
/// relative `weights` lies beside the file. Errors begin with FILE:LINE:COLUMN.
Result<ModelCard> parse_model_card(std::string_view text, const Origin& file);

/// All models there are, by name: those that came with the program, then the user's models/, which
/// replace those of the same name. Weights need not be there.
Result<std::vector<ModelCard>> load_model_cards(const LoadedConfig& loaded);

/// The model that an empty `model` means.
inline constexpr std::string_view kEmbeddedModel = "embedded";

}  // namespace sable::runtime::config
