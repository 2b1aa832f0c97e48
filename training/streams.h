// Manifold-constrained hyper-connections, forwards and backwards: how a sublayer reads the four
// residual streams and how its result is merged into them. One pass over the streams each way; the
// Sinkhorn projection runs for sixteen tokens at once.
//
// Sources: DeepSeek-V4 (arXiv 2606.19348) and Xie et al., "mHC: Manifold-Constrained
// Hyper-Connections".
#pragma once

#include <cstddef>
#include <vector>

#include "training/parameters.h"

namespace sable::training {

/// Outputs of one site for a token: pre [4], post [4], comb [4][4] (source, destination).
inline constexpr size_t kMixCount = (2 + kStreamCount) * kStreamCount;

/// One site's parameters, or with another base address their gradients.
struct Site {
  const float* fn;             ///< [n_mixes, 4D]
  const float* fn_transposed;  ///< [4D, n_mixes]
  const float* base;           ///< [n_mixes]
  const float* scale;          ///< [3], the head's [1]
};
struct SiteGradient {
  float* fn;
  float* base;
  float* scale;
};

struct StreamShape {
  size_t n_tokens, dim;
  size_t sinkhorn_iterations;
  float eps, rms_eps;
};

/// What the way back needs of one site, [n_tokens, ...].
struct SiteState {
  std::vector<float> raw;  ///< fn x, scaled by `r`; kMixCount (head: 4) each
  std::vector<float> r;    ///< reciprocal RMS of all four streams together
  std::vector<float> mix;  ///< pre, post, comb
};

/// y [n, D] = the sublayer's input from streams [n, 4, D].
void read_streams(const Site& site, const StreamShape& shape, const float* streams,
                  SiteState& state, float* y);
/// out [n, 4, D] from the sublayer's result f [n, D]; out may be streams.
void merge_streams(const StreamShape& shape, const SiteState& state, const float* f,
                   const float* streams, float* out);

/// From the gradient of merge_streams' result, in place, to that of its streams; also df [n, D] and
/// dmix [n, 24] (post and comb; pre is left at 0).
void merge_streams_backward(const StreamShape& shape, const SiteState& state, const float* f,
                            const float* streams, float* dstreams, float* df, float* dmix);
/// dstreams += through read_streams, from dy and from dmix, whose pre part this fills in.
/// `work` is scratch.
void read_streams_backward(const Site& site, const StreamShape& shape, const SiteState& state,
                           const float* streams, const float* dy, float* dmix, float* dstreams,
                           const SiteGradient& gradient, std::vector<float>& work);

/// The head's mixture of the streams, and its way back (dstreams is replaced).
void read_head(const Site& site, const StreamShape& shape, const float* streams, SiteState& state,
               float* y);
void read_head_backward(const Site& site, const StreamShape& shape, const SiteState& state,
                        const float* streams, const float* dy, float* dstreams,
                        const SiteGradient& gradient, std::vector<float>& work);

}  // namespace sable::training
