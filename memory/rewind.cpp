#include "memory/rewind.h"

#include <algorithm>

namespace sable::memory {

Rewind rewind_from(const Event& event) {
  if (event.type != kRewound || !event.data.is_object()) return {};
  const auto to = event.data.find("to");
  if (to == event.data.end() || !to->is_number_unsigned()) return {};
  const Rewind rewind{event.seq, to->get<Seq>()};
  return rewind.to >= 1 && rewind.to < rewind.at ? rewind : Rewind{};
}

std::vector<EventRange> events_in_force(const std::vector<Rewind>& rewinds, Seq last) {
  std::vector<EventRange> ranges;
  // From the end to the beginning: each rewind on the way jumps over what it took back.
  for (Seq end = last; end > 0;) {
    const auto after = std::upper_bound(rewinds.begin(), rewinds.end(), end,
                                        [](Seq seq, const Rewind& r) { return seq < r.at; });
    if (after == rewinds.begin()) {
      ranges.push_back({1, end});
      break;
    }
    const Rewind& rewind = *(after - 1);
    ranges.push_back({rewind.at, end});
    end = rewind.to;
  }
  std::reverse(ranges.begin(), ranges.end());
  return ranges;
}

}  // namespace sable::memory
