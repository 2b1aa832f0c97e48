// Which experts see a token, and the choice of the best scores in general. Deterministic: ties go
// to the lower index.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sable::inference {

/// Router scores from logits, in place: sqrt(softplus(z)), softplus(z) = z above 20.
void sqrt_softplus(std::span<float> z);

/// Picks the experts for one token and weighs them.
///
///   scores   [n_experts]         after sqrt_softplus
///   bias     [n_experts]         added for *choosing* only, not for weighing; may be empty
///   chosen   [n_active_experts]  out: expert ids, ascending; ties go to the lower id
///   weights  [n_active_experts]  out: sums to `scale`
void route_by_score(std::span<const float> scores, std::span<const float> bias, float scale,
                    std::span<int32_t> chosen, std::span<float> weights);

/// The same with the experts given (hash layers); `chosen` is sorted in place.
void weigh_experts(std::span<const float> scores, float scale, std::span<int32_t> chosen,
                   std::span<float> weights);

/// The `chosen.size()` indices of the largest scores, ascending. Requires chosen.size() <=
/// scores.size(). `work` [scores.size()] is scratch.
void top_indices(std::span<const float> scores, std::span<int32_t> work, std::span<int32_t> chosen);

}  // namespace sable::inference
