#include "inference/files/gguf_names.h"

#include <algorithm>

namespace sable::inference {

namespace {

struct Pair {
  std::string_view official, gguf;
};

constexpr Pair kTop[] = {
    {"embed.weight", "token_embd.weight"},     {"norm.weight", "output_norm.weight"},
    {"head.weight", "output.weight"},          {"hc_head_fn", "output_hc_fn.weight"},
    {"hc_head_base", "output_hc_base.weight"}, {"hc_head_scale", "output_hc_scale.weight"}};

// Below "layers.N." or "mtp.N." and "blk.N." or "mtp.N.".
constexpr Pair kBlock[] = {
    {"attn_norm.weight", "attn_norm.weight"},
    {"ffn_norm.weight", "ffn_norm.weight"},
    {"hc_attn_fn", "hc_attn_fn.weight"},
    {"hc_attn_base", "hc_attn_base.weight"},
    {"hc_attn_scale", "hc_attn_scale.weight"},
    {"hc_ffn_fn", "hc_ffn_fn.weight"},
    {"hc_ffn_base", "hc_ffn_base.weight"},
    {"hc_ffn_scale", "hc_ffn_scale.weight"},
    {"attn.wq_a.weight", "attn_q_a.weight"},
    {"attn.q_norm.weight", "attn_q_a_norm.weight"},
    {"attn.wq_b.weight", "attn_q_b.weight"},
    {"attn.wkv.weight", "attn_kv.weight"},
    {"attn.kv_norm.weight", "attn_kv_a_norm.weight"},
    {"attn.attn_sink", "attn_sinks.weight"},
    {"attn.wo_a.weight", "attn_output_a.weight"},
    {"attn.wo_b.weight", "attn_output_b.weight"},
    {"attn.compressor.wkv.weight", "attn_compressor_kv.weight"},
    {"attn.compressor.wgate.weight", "attn_compressor_gate.weight"},
    {"attn.compressor.ape", "attn_compressor_ape.weight"},
    {"attn.compressor.norm.weight", "attn_compressor_norm.weight"},
    {"attn.indexer.wq_b.weight", "indexer.attn_q_b.weight"},
    {"attn.indexer.weights_proj.weight", "indexer.proj.weight"},
    {"attn.indexer.compressor.wkv.weight", "indexer_compressor_kv.weight"},
    {"attn.indexer.compressor.wgate.weight", "indexer_compressor_gate.weight"},
    {"attn.indexer.compressor.ape", "indexer_compressor_ape.weight"},
    {"attn.indexer.compressor.norm.weight", "indexer_compressor_norm.weight"},
    {"ffn.gate.weight", "ffn_gate_inp.weight"},
    {"ffn.gate.bias", "exp_probs_b.bias"},
    {"ffn.gate.tid2eid", "ffn_gate_tid2eid.weight"},
    {"ffn.shared_experts.w1.weight", "ffn_gate_shexp.weight"},
    {"ffn.shared_experts.w2.weight", "ffn_down_shexp.weight"},
    {"ffn.shared_experts.w3.weight", "ffn_up_shexp.weight"}};

// Only below "mtp.N.", on both sides.
constexpr Pair kMtp[] = {
    {"e_proj.weight", "e_proj.weight"},      {"h_proj.weight", "h_proj.weight"},
    {"enorm.weight", "enorm.weight"},        {"hnorm.weight", "hnorm.weight"},
    {"norm.weight", "norm.weight"},          {"hc_head_fn", "hc_head_fn.weight"},
    {"hc_head_base", "hc_head_base.weight"}, {"hc_head_scale", "hc_head_scale.weight"}};

constexpr Pair kExperts[] = {
    {"w1", "ffn_gate_exps.weight"}, {"w2", "ffn_down_exps.weight"}, {"w3", "ffn_up_exps.weight"}};

constexpr std::string_view kExpertsPrefix = "ffn.experts.";

template <size_t N>
std::optional<std::string_view> official_of(const Pair (&pairs)[N], std::string_view gguf) {
  const auto* it = std::find_if(std::begin(pairs), std::end(pairs),
                                [gguf](const Pair& p) { return p.gguf == gguf; });
  return it == std::end(pairs) ? std::nullopt : std::optional(it->official);
}

template <size_t N>
std::optional<std::string_view> gguf_of(const Pair (&pairs)[N], std::string_view official) {
  const auto* it = std::find_if(std::begin(pairs), std::end(pairs),
                                [official](const Pair& p) { return p.official == official; });
  return it == std::end(pairs) ? std::nullopt : std::optional(it->gguf);
}

/// "blk.12.rest" with prefix "blk." -> {"12", "rest"}.
struct Numbered {
  std::string_view number, rest;
};
std::optional<Numbered> numbered(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot > 6) return std::nullopt;
  const std::string_view number = name.substr(0, dot);
  const bool digits =
      std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || (number.size() > 1 && number.front() == '0')) return std::nullopt;
  return Numbered{number, name.substr(dot + 1)};
}

}  // namespace

std::optional<GgufPlace> place_of_gguf(std::string_view gguf_name) {
  if (const auto top = official_of(kTop, gguf_name)) return GgufPlace{std::string(*top), false, {}};
  const auto trunk = numbered(gguf_name, "blk.");
  const auto mtp = numbered(gguf_name, "mtp.");
  if (!trunk && !mtp) return std::nullopt;
  const Numbered& at = trunk ? *trunk : *mtp;
  const std::string prefix = (trunk ? "layers." : "mtp.") + std::string(at.number) + ".";
  if (const auto matrix = official_of(kExperts, at.rest)) {
    return GgufPlace{prefix + std::string(kExpertsPrefix), true, std::string(*matrix)};
  }
  auto official = official_of(kBlock, at.rest);
  if (!official && mtp) official = official_of(kMtp, at.rest);
  if (!official) return std::nullopt;
  return GgufPlace{prefix + std::string(*official), false, {}};
}

std::optional<std::string> gguf_name_of(std::string_view official_name) {
  if (const auto top = gguf_of(kTop, official_name)) return std::string(*top);
  const auto trunk = numbered(official_name, "layers.");
  const auto mtp = numbered(official_name, "mtp.");
  if (!trunk && !mtp) return std::nullopt;
  const Numbered& at = trunk ? *trunk : *mtp;
  const std::string prefix = (trunk ? "blk." : "mtp.") + std::string(at.number) + ".";
  std::optional<std::string_view> name = gguf_of(kBlock, at.rest);
  if (!name && mtp) name = gguf_of(kMtp, at.rest);
  if (const auto expert = numbered(at.rest, kExpertsPrefix);
      !name && expert && expert->rest.ends_with(".weight")) {
    name = gguf_of(kExperts, expert->rest.substr(0, expert->rest.size() - 7));
  }
  if (!name) return std::nullopt;
  return prefix + std::string(*name);
}

}  // namespace sable::inference
