// Rotary position embedding: the two frequency tables and the rotation of interleaved pairs.
//
// Source: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/files/model_config.h"

namespace sable::inference {

/// theta_i, i = 0 .. rope_dim/2 - 1, computed in FP32 as the official code does (power, reciprocal
/// and YaRN blend): correctly rounded values differ by up to 2 ulp and show at long context.
std::vector<float> plain_rope_frequencies(const ModelConfig& config);

/// The same for layers with compressed entries: the other base, blended by YaRN.
std::vector<float> compressed_rope_frequencies(const ModelConfig& config);

/// cos and sin of the FP32 angle position * theta_i; both [theta.size()].
void rope_angles(uint64_t position, std::span<const float> theta, std::span<float> cos,
                 std::span<float> sin);

/// Rotates the pairs (x[2i], x[2i+1]) of a rope slice [2 * cos.size()]; `inverse` turns them back.
void rotate(std::span<float> x, std::span<const float> cos, std::span<const float> sin,
            bool inverse);

}  // namespace sable::inference
