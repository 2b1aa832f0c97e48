// How llama.cpp and ds4 call the tensors of a DeepSeek-V4 model, against the official names.
// Source: ggml-org/llama.cpp conversion/deepseek.py and src/llama-arch.cpp; antirez/ds4 ds4.c
// (mtp.N.*).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sable::inference {

/// Where a GGUF tensor belongs. A stacked tensor holds one matrix for each routed expert.
struct GgufPlace {
  std::string
      official;  ///< full official name, or for stacked ones the part before the expert number
  bool stacked = false;  ///< then expert x is official + x + "." + matrix + ".weight"
  std::string matrix;    ///< "w1", "w2" or "w3" for stacked ones
};

/// "blk.3.ffn_gate_exps.weight" -> {"layers.3.ffn.experts.", stacked, "w1"}; nothing for other
/// names.
std::optional<GgufPlace> place_of_gguf(std::string_view gguf_name);

/// The inverse for one tensor: "layers.3.ffn.experts.7.w1.weight" -> "blk.3.ffn_gate_exps.weight".
std::optional<std::string> gguf_name_of(std::string_view official_name);

}  // namespace sable::inference
