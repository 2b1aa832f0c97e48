// mHC: how four residual streams are mixed before and after a sublayer.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#pragma once

#include <cstddef>
#include <span>

namespace sable::inference {

inline constexpr size_t kStreams = 4;                        ///< hc_mult
inline constexpr size_t kMixes = (2 + kStreams) * kStreams;  ///< 24: pre, post and comb

/// What one site (attention or feed-forward) does with one token.
struct StreamMix {
  float pre[kStreams];             ///< weights of the streams in the sublayer's input
  float post[kStreams];            ///< weights of the sublayer's output in each stream
  float comb[kStreams][kStreams];  ///< [source][destination], doubly stochastic nearly
};

struct StreamMixSettings {
  int sinkhorn_iterations = 20;
  float eps = 1e-6F;
};

/// `m` [24]: products of the site's fn with the streams, already scaled by 1/rms. base [24], scale
/// [3].
StreamMix stream_mix(std::span<const float> m, std::span<const float> base,
                     std::span<const float> scale, const StreamMixSettings& settings);

/// The same before comb is balanced: a softmax by rows.
StreamMix unbalanced_stream_mix(std::span<const float> m, std::span<const float> base,
                                std::span<const float> scale, const StreamMixSettings& settings);

/// Sinkhorn: normalises columns, then rows and columns in turns, in place.
void balance(float comb[kStreams][kStreams], const StreamMixSettings& settings);

/// The head's weights of the streams: m [4], base [4], one scale.
void head_mix(std::span<const float> m, std::span<const float> base, float scale, float eps,
              std::span<float> pre);

}  // namespace sable::inference
