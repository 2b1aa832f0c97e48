// lane_kernels.inl for avx2.
#include "inference/kernels/lane_kernels_includes.h"
#include "inference/kernels/lanes_avx2.h"

namespace sable::inference::lanes_avx2 {

constexpr std::string_view kName = "avx2";
#include "inference/kernels/lane_kernels.inl"

}  // namespace sable::inference::lanes_avx2

namespace sable::inference {
const LaneKernels& avx2_lane_kernels() { return lanes_avx2::kKernels; }
}  // namespace sable::inference
