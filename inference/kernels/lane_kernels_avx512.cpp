// lane_kernels.inl for avx512.
#include "inference/kernels/lane_kernels_includes.h"
#include "inference/kernels/lanes_avx512.h"

namespace sable::inference::lanes_avx512 {

constexpr std::string_view kName = "avx512";
#include "inference/kernels/lane_kernels.inl"

}  // namespace sable::inference::lanes_avx512

namespace sable::inference {
const LaneKernels& avx512_lane_kernels() { return lanes_avx512::kKernels; }
}  // namespace sable::inference
