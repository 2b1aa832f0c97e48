// The Sinkhorn projection of 4x4 matrices, sixteen tokens at once, and its way back.
#pragma once

#include <cstddef>

#include "training/lanes.h"

namespace sable::training {

/// z [16]: matrix entry j * 4 + k (source j, destination k), replaced by a nearly doubly stochastic
/// matrix: softmax of rows plus eps, then columns and rows normalised in turn, columns last.
void sinkhorn(Lanes* z, size_t iterations, float eps);

/// d [16]: from the gradient of sinkhorn(z) to that of z, in place. Walks the same path forwards
/// first and keeps it.
void sinkhorn_backward(const Lanes* z, size_t iterations, float eps, Lanes* d);

}  // namespace sable::training
