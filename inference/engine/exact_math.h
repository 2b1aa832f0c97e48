// Exponential and logarithm that give the same bits on every machine.
#pragma once

namespace sable::inference {

/// e^x for x <= 0 (0 below -708, where doubles end to be normal), within 2 units in the last place.
///
/// The C library picks its version by the processor, and versions with and without fused
/// multiply-add differ in the last bit, enough to flip a sampled token. These use additions,
/// multiplications and divisions of IEEE 754 only, in a fixed order (we compile with
/// -ffp-contract=off).
double exact_exp(double x);

/// Natural logarithm for finite x >= 1, within 2 units in the last place of max(1, log x).
double exact_log(double x);

}  // namespace sable::inference
