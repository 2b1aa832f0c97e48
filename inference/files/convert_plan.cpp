#include "inference/files/convert_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "inference/files/gguf.h"
#include "inference/files/gguf_names.h"
#include "inference/files/number_formats.h"
#include "inference/files/quantize.h"
#include "inference/files/tensor_inventory.h"

namespace sable::inference {

namespace {

bool plain_float(DType type) {
  return type == DType::f32 || type == DType::f16 || type == DType::bf16;
}

Result<void> check_types(const ConvertOptions& options) {
  const bool gguf = options.to == Container::gguf;
  for (const auto& [what, type] :
       {std::pair("dense", options.dense), std::pair("expert", options.experts)}) {
    const bool fits = gguf ? can_quantize(type)
                           : type == DType::f32 || type == DType::bf16 || type == DType::f8_e4m3 ||
                                 (type == DType::f4_e2m1 && type == options.experts);
    if (!fits) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} cannot be written as {} tensors of a {} file", name_of(type),
                              what, gguf ? "GGUF" : "safetensors"));
    }
  }
  if (!gguf && options.dense == DType::f4_e2m1) {
    return fail(ErrorCode::invalid_input, "F4_E2M1 is for experts only");
  }
  return {};
}

/// Whether every value of an F32 tensor is a BF16 number: GGUF widens what the official files store
/// as BF16.
bool is_bf16(const Tensor& tensor) {
  for (size_t at = 0; at < tensor.bytes.size(); at += 4) {
    if ((load_le<uint32_t>(tensor.bytes.data() + at) & 0xFFFFU) != 0) return false;
  }
  return true;
}

class Planner {
 public:
  Planner(const Checkpoint& model, const ConvertOptions& options)
      : model_(model), options_(options) {}

  Result<ConvertPlan> plan() {
    SABLE_TRY_VOID(check_types(options_));
    SABLE_TRY_VOID(
        for_each_tensor(model_.config(), [this](const TensorSpec& spec) { return add(spec); }));
    return std::move(plan_);
  }

 private:
  Result<void> add(const TensorSpec& spec) {
    const Tensor* source = model_.find(spec.name);
    if (source == nullptr) return fail(ErrorCode::corrupt, "tensor \"" + spec.name + "\": missing");
    const bool gguf = options_.to == Container::gguf;
    const DType type = fitting(wanted(spec, *source), spec);
    auto& list = gguf && spec.layer >= model_.config().num_hidden_layers ? plan_.mtp : plan_.trunk;
    const std::string name = gguf ? gguf_name_of(spec.name).value_or(spec.name) : spec.name;
    if (gguf && spec.role == TensorRole::expert) return stack(list, name, type, spec, source);
    list.push_back({name, type, spec.shape, {source}});
    return {};
  }

  /// Experts arrive as w1, w2, w3 of expert 0, then of expert 1, ...; each matrix joins its stack.
  Result<void> stack(std::vector<PlannedTensor>& list, const std::string& name, DType type,
                     const TensorSpec& spec, const Tensor* source) {
    const auto open = std::find_if(list.rbegin(), list.rend(),
                                   [&](const PlannedTensor& t) { return t.name == name; });
    if (open != list.rend()) {
      open->sources.push_back(source);
      return {};
    }
    list.push_back(
        {name,
         type,
         {static_cast<uint64_t>(model_.config().n_routed_experts), spec.shape[0], spec.shape[1]},
         {source}});
    return {};
  }

  DType wanted(const TensorSpec& spec, const Tensor& source) const {
    const bool gguf = options_.to == Container::gguf;
    switch (spec.role) {
      case TensorRole::table:
        return gguf ? DType::i32 : DType::i64;
      case TensorRole::exact:
        return DType::f32;
      case TensorRole::norm:
        if (gguf || source.type == DType::f16) return DType::f32;
        return source.type == DType::f32 && is_bf16(source) ? DType::bf16 : source.type;
      case TensorRole::projection:
        return options_.dense;
      case TensorRole::expert:
        return options_.experts;
      case TensorRole::head:
        if (gguf) return options_.dense;
        break;
      case TensorRole::embedding:
      case TensorRole::plain:
        break;
    }
    if (plain_float(options_.dense)) return options_.dense;
    if (!gguf && source.type == DType::f32 && is_bf16(source)) return DType::bf16;
    const bool keeps = plain_float(source.type) && (gguf || source.type != DType::f16);
    return keeps ? source.type : DType::bf16;
  }

  /// Falls back where rows do not fill the type's blocks.
  DType fitting(DType type, const TensorSpec& spec) {
    const uint64_t cols = spec.shape.back();
    const DType wish = type;
    if (cols % block_of(type).elements != 0) type = DType::q8_0;
    if (cols % block_of(type).elements != 0) type = DType::f16;
    if (type != wish) {
      const std::string note = fmt::format("rows of {} elements cannot be {}: written as {}", cols,
                                           name_of(wish), name_of(type));
      if (std::find(plan_.notes.begin(), plan_.notes.end(), note) == plan_.notes.end())
        plan_.notes.push_back(note);
    }
    return type;
  }

  const Checkpoint& model_;
  const ConvertOptions& options_;
  ConvertPlan plan_;
};

}  // namespace

uint64_t PlannedTensor::element_bytes() const { return gguf_tensor_bytes(type, shape); }

std::vector<uint64_t> PlannedTensor::scale_shape() const {
  if (type == DType::f8_e4m3) return {(shape[0] + 127) / 128, (shape[1] + 127) / 128};
  if (type == DType::f4_e2m1) return {shape[0], shape[1] / 32};
  return {};
}

uint64_t PlannedTensor::scale_bytes() const {
  const std::vector<uint64_t> dims = scale_shape();
  return dims.empty() ? 0 : dims[0] * dims[1];
}

Result<ConvertPlan> plan_conversion(const Checkpoint& model, const ConvertOptions& options) {
  return Planner(model, options).plan();
}

}  // namespace sable::inference
