// A step's request as the body of OpenAI's POST /chat/completions.
#pragma once

#include <string>

#include "agent/provider.h"

namespace sable::agent {

/// Streaming, with usage. Arguments of earlier calls that are not a JSON object are sent as
/// {"invalid_arguments": TEXT}, since endpoints refuse a history that does not parse.
Json chat_request(const StepRequest& request, std::string_view model);

}  // namespace sable::agent
