#include "memory/session_view.h"

#include <limits>

namespace sable::memory {

namespace {

void add_saturating(uint64_t& sum, const Json& data, const char* key) {
  if (!data.is_object()) return;
  const auto it = data.find(key);
  if (it == data.end() || !it->is_number_integer()) return;
  if (!it->is_number_unsigned() && it->get<int64_t>() < 0) return;
  // The column is a signed 64-bit integer.
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  const auto value = it->get<uint64_t>();
  sum = value > kMax - sum ? kMax : sum + value;
}

bool stays_visible(std::string_view status) {
  return status == "failed" || status == "interrupted";
}

}  // namespace

ViewEffects apply_event(SessionView& view, const Event& event, const Digest& hash, size_t n_bytes) {
  view.n_events = event.seq;
  view.data_bytes += n_bytes;
  view.head = hash;
  view.updated_ms = event.time.time_since_epoch().count();
  if (event.seq == 1) view.created_ms = view.updated_ms;

  const Json& data = event.data;
  ViewEffects effects;
  if (event.version > kEventVersion) return effects;  // known to be there, and no more
  if (event.type == "session.started") {
    view.title = string_or(data, "title", "");
    view.working_directory = string_or(data, "working_directory", "");
    view.agent = string_or(data, "agent", "");
    view.model = string_or(data, "model", "");
  } else if (event.type == "session.forked") {
    view.parent = string_or(data, "from", "");
    view.parent_seq = event.seq - 1;
    view.created_ms = view.updated_ms;
    view.status = "idle";
  } else if (event.type == "turn.started" || event.type == "turn.continued") {
    view.status = "running";
  } else if (event.type == "turn.ended") {
    // After a finished turn the session waits for the next one; other ends stay visible.
    const auto status = string_or(data, "status", "finished");
    view.status = stays_visible(status) ? status : "idle";
    if (data.is_object() && data.contains("usage")) {
      add_saturating(view.input_tokens, data.at("usage"), "input_tokens");
      add_saturating(view.output_tokens, data.at("usage"), "output_tokens");
    }
  } else if (event.type == "tool.started") {
    effects.call_started = string_or(data, "call_id", "");
  } else if (event.type == "tool.outcome") {
    effects.call_ended = string_or(data, "call_id", "");
  }
  return effects;
}

}  // namespace sable::memory
