// lane_kernels.inl for portable: any machine.
#include "inference/kernels/lane_kernels_includes.h"
#include "inference/kernels/lanes_portable.h"

namespace sable::inference::lanes_portable {

constexpr std::string_view kName = "portable";
#include "inference/kernels/lane_kernels.inl"

}  // namespace sable::inference::lanes_portable

namespace sable::inference {
const LaneKernels& portable_lane_kernels() { return lanes_portable::kKernels; }
}  // namespace sable::inference
