// What a scripted reply looks like on the wire of OpenAI Chat Completions.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace sable::test {

/// The events of a streamed answer, each "data: ...\n\n", [DONE] last. `n` is the reply's number
/// from 1.
std::vector<std::string> stream_events(const Json& reply, size_t n, const std::string& model);

/// The same answer as one JSON object.
std::string whole_answer(const Json& reply, size_t n, const std::string& model);

/// Joins and cuts again: pieces of `piece_bytes`, wherever they fall; 0 leaves them as they are.
std::vector<std::string> cut(const std::vector<std::string>& events, size_t piece_bytes);

}  // namespace sable::test
