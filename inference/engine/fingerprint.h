// Names a model together with every setting that shows in its results.
#pragma once

#include "base/digest.h"
#include "inference/files/checkpoint.h"
#include "inference/graph/forward.h"

namespace sable::inference {

/// Raised whenever a change of kernels or graph changes any bit of any result.
inline constexpr uint32_t kKernelResultVersion = 1;
/// Raised whenever the layout of saved states changes.
inline constexpr uint32_t kSavedFormatVersion = 2;

/// Weights enter by name, type, shape and bytes: all of them up to 256 MiB. Of a larger model,
/// which must open at once, they are samples, the size of its files and when they were last written
/// to, so that a copy of it counts as another model, and one that was edited in place too.
/// `tokenizer` may be null. `double_sums`: the reference backend, whose results have other last
/// bits.
/// `hashed_bytes_max`: other than 256 MiB only for tests.
Digest fingerprint_of(const Checkpoint& checkpoint, const Digest* tokenizer,
                      const GraphSettings& settings, bool double_sums,
                      uint64_t hashed_bytes_max = uint64_t{256} << 20);

}  // namespace sable::inference
