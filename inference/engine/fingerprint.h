// Names a model together with every setting that shows in its results.
#pragma once

#include "base/digest.h"
#include "inference/files/checkpoint.h"
#include "inference/graph/forward.h"

namespace sable::inference {

/// Raised whenever a change of kernels or graph changes any bit of any result.
inline constexpr uint32_t kKernelResultVersion = 1;
/// Raised whenever the layout of saved states changes.
inline constexpr uint32_t kSavedFormatVersion = 1;

/// Weights enter by name, type, shape and samples of their bytes, so that a model of any size opens
/// at once: this tells models apart, it does not prove that a file is undamaged. `tokenizer` may be
/// null. `double_sums`: the reference backend, whose results have other last bits.
Digest fingerprint_of(const Checkpoint& checkpoint, const Digest* tokenizer,
                      const GraphSettings& settings, bool double_sums);

}  // namespace sable::inference
