#include "inference/engine/fingerprint.h"

#include <algorithm>
#include <string>
#include <type_traits>

namespace sable::inference {

namespace {

constexpr size_t kSampleBytes = 64;
constexpr size_t kSampledTensorsMax = 4096;  // of a huge model, every n-th tensor is sampled

class Writer {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    hash_.update(std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
  }
  void text(std::string_view s) {
    number(static_cast<uint64_t>(s.size()));
    hash_.update(s);
  }
  void bytes(std::span<const std::byte> bytes) {
    hash_.update(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  void sample(std::span<const std::byte> all) {
    bytes(all.subspan(all.size() / 2, std::min(kSampleBytes, all.size() - all.size() / 2)));
  }
  Digest finish() { return hash_.finish(); }

 private:
  Sha256 hash_;
};

void write_weights(Writer& w, const Checkpoint& checkpoint, uint64_t hashed_bytes_max) {
  const auto& tensors = checkpoint.tensors();
  uint64_t n_bytes = 0;
  for (const Tensor& t : tensors) n_bytes += t.bytes.size() + t.scales.size();
  const bool whole = n_bytes <= hashed_bytes_max;
  w.number(whole);
  if (!whole) {
    w.number(checkpoint.file_bytes());
    w.number(checkpoint.modified());
  }
  const size_t step = whole ? 1 : tensors.size() / kSampledTensorsMax + 1;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    w.text(t.name);
    w.number(t.type);
    for (const uint64_t n : t.shape) w.number(n);
    if (whole) {
      w.bytes(t.bytes);
      w.bytes(t.scales);
    } else if (i % step == 0) {
      w.sample(t.bytes);
      w.sample(t.scales);
    }
  }
}

void write_config(Writer& w, const ModelConfig& c) {
  for (const int64_t n : {c.vocab_size,
                          c.hidden_size,
                          c.num_hidden_layers,
                          c.num_attention_heads,
                          c.head_dim,
                          c.qk_rope_head_dim,
                          c.q_lora_rank,
                          c.o_lora_rank,
                          c.o_groups,
                          c.sliding_window,
                          c.index_n_heads,
                          c.index_head_dim,
                          c.index_topk,
                          c.hc_mult,
                          c.hc_sinkhorn_iters,
                          c.n_routed_experts,
                          c.n_shared_experts,
                          c.num_experts_per_tok,
                          c.moe_intermediate_size,
                          c.num_hash_layers,
                          c.rope_original_max_position_embeddings}) {
    w.number(n);
  }
  for (const int64_t ratio : c.compress_ratios) w.number(ratio);
  for (const double x :
       {c.hc_eps, c.routed_scaling_factor, c.swiglu_limit, c.rms_norm_eps, c.rope_theta,
        c.compress_rope_theta, c.rope_factor, c.rope_beta_fast, c.rope_beta_slow}) {
    w.number(x);
  }
}

}  // namespace

Digest fingerprint_of(const Checkpoint& checkpoint, const Digest* tokenizer,
                      const GraphSettings& settings, bool double_sums, uint64_t hashed_bytes_max) {
  Writer w;
  w.text("sable inference state");
  w.number(kSavedFormatVersion);
  w.number(kKernelResultVersion);
  w.number(settings.format);
  w.number(settings.fake_quant);
  w.number(settings.activation_quant);
  w.number(double_sums);
  w.text(tokenizer == nullptr ? std::string() : to_hex(*tokenizer));
  write_config(w, checkpoint.config());
  write_weights(w, checkpoint, hashed_bytes_max);
  return w.finish();
}

}  // namespace sable::inference
