#include "inference/graph/model.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/check.h"

namespace sable::inference {

namespace {

std::string shape_text(uint64_t rows, uint64_t cols) {
  return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
}

/// Binds tensors by official name below one prefix and remembers the first thing that was wrong.
class Binder {
 public:
  Binder(const Checkpoint& checkpoint, Backend& backend)
      : checkpoint_(checkpoint), backend_(backend) {}

  Weight weight(const std::string& name, int64_t rows, int64_t cols) {
    const Tensor* const tensor = find(name);
    if (tensor == nullptr) return {};
    if (tensor->type == DType::i8 || tensor->type == DType::i32 || tensor->type == DType::i64 ||
        tensor->type == DType::f8_e8m0) {
      refuse(name + ": a matrix of " + std::string(name_of(tensor->type)) +
             " cannot be multiplied");
      return {};
    }
    const Weight w = backend_.bind(*tensor);
    if (w.rows != static_cast<uint64_t>(rows) || w.cols != static_cast<uint64_t>(cols)) {
      // A block-diagonal matrix may be stored with its blocks apart, or a vector as a row.
      if (w.rows * w.cols == static_cast<uint64_t>(rows * cols) &&
          w.cols == static_cast<uint64_t>(cols)) {
        return w;
      }
      refuse(name + ": expected shape " + shape_text(uint64_t(rows), uint64_t(cols)) + ", found " +
             shape_text(w.rows, w.cols));
    }
    return w;
  }

  Vector vector(const std::string& name, int64_t size) {
    const Tensor* const tensor = find(name);
    if (tensor == nullptr) return {};
    if (tensor->n_elements() != static_cast<uint64_t>(size)) {
      refuse(name + ": expected " + std::to_string(size) + " elements, found " +
             std::to_string(tensor->n_elements()));
      return {};
    }
    std::vector<float> values(static_cast<size_t>(size));
    const uint64_t cols = tensor->shape.size() < 2 ? tensor->n_elements() : tensor->shape.back();
    for (uint64_t r = 0; r * cols < values.size(); ++r) {
      dequantize_row(*tensor, r, std::span(values).subspan(r * cols, cols));
    }
    return Vector(backend_, values);
  }

  std::vector<int32_t> expert_table(const std::string& name, const ModelConfig& c) {
    const Tensor* const tensor = find(name);
    if (tensor == nullptr) return {};
    const auto n = static_cast<size_t>(c.vocab_size * c.num_experts_per_tok);
    const bool wide = tensor->type == DType::i64;
    if (tensor->n_elements() != n || (!wide && tensor->type != DType::i32)) {
      refuse(name + ": expected " + std::to_string(n) + " integers");
      return {};
    }
    std::vector<int32_t> table(n);
    for (size_t i = 0; i < n; ++i) {
      int64_t id = 0;
      if (wide) {
        std::memcpy(&id, tensor->bytes.data() + 8 * i, 8);
      } else {
        int32_t narrow = 0;
        std::memcpy(&narrow, tensor->bytes.data() + 4 * i, 4);
        id = narrow;
      }
      if (id < 0 || id >= c.n_routed_experts) {
        refuse(name + ": expert " + std::to_string(id) + " does not exist");
        return {};
      }
      table[i] = static_cast<int32_t>(id);
    }
    const auto k = static_cast<size_t>(c.num_experts_per_tok);
    for (size_t row = 0; row * k < n; ++row) {
      std::vector<int32_t> ids(table.begin() + static_cast<std::ptrdiff_t>(row * k),
                               table.begin() + static_cast<std::ptrdiff_t>((row + 1) * k));
      std::sort(ids.begin(), ids.end());
      if (std::adjacent_find(ids.begin(), ids.end()) != ids.end()) {
        refuse(name + ": token " + std::to_string(row) + " names an expert twice");
        return {};
      }
    }
    return table;
  }

  SiteWeights site(const std::string& prefix, int64_t n_out, int64_t n_scales, int64_t dim) {
    SiteWeights s;
    s.fn = weight(prefix + "_fn", n_out, static_cast<int64_t>(kStreams) * dim);
    s.base = vector(prefix + "_base", n_out);
    s.scale = vector(prefix + "_scale", n_scales);
    return s;
  }

  CompressorWeights compressor(const std::string& prefix, int64_t ratio, int64_t dim,
                               int64_t hidden) {
    CompressorWeights c;
    const int64_t width = ratio == 4 ? 2 * dim : dim;
    c.wkv = weight(prefix + "wkv.weight", width, hidden);
    c.wgate = weight(prefix + "wgate.weight", width, hidden);
    c.ape = vector(prefix + "ape", ratio * width);
    c.norm = vector(prefix + "norm.weight", dim);
    c.ratio = static_cast<size_t>(ratio);
    c.dim = static_cast<size_t>(dim);
    c.width = static_cast<size_t>(width);
    return c;
  }

  ExpertWeights expert(const std::string& prefix, int64_t hidden, int64_t inner) {
    return {weight(prefix + "w1.weight", inner, hidden),
            weight(prefix + "w3.weight", inner, hidden),
            weight(prefix + "w2.weight", hidden, inner)};
  }

  void refuse(std::string message) {
    if (ok()) problem_ = std::move(message);
  }
  bool ok() const { return problem_.empty(); }
  const std::string& problem() const { return problem_; }

 private:
  const Tensor* find(const std::string& name) {
    const Tensor* const tensor = checkpoint_.find(name);
    if (tensor == nullptr) refuse(name + ": the checkpoint has no such tensor");
    return tensor;
  }

  const Checkpoint& checkpoint_;
  Backend& backend_;
  std::string problem_;
};

void bind_attention(Binder& bind, const std::string& p, const ModelConfig& c, LayerWeights& layer) {
  const int64_t D = c.hidden_size, H = c.num_attention_heads, low = c.o_groups * c.o_lora_rank;
  layer.wq_a = bind.weight(p + "wq_a.weight", c.q_lora_rank, D);
  layer.q_norm = bind.vector(p + "q_norm.weight", c.q_lora_rank);
  layer.wq_b = bind.weight(p + "wq_b.weight", H * c.head_dim, c.q_lora_rank);
  layer.wkv = bind.weight(p + "wkv.weight", c.head_dim, D);
  layer.kv_norm = bind.vector(p + "kv_norm.weight", c.head_dim);
  layer.attn_sink = bind.vector(p + "attn_sink", H);
  layer.wo_a = bind.weight(p + "wo_a.weight", low, H * c.head_dim / c.o_groups);
  layer.wo_b = bind.weight(p + "wo_b.weight", D, low);
  const auto ratio = static_cast<int64_t>(layer.ratio);
  if (ratio > 0) layer.compressor = bind.compressor(p + "compressor.", ratio, c.head_dim, D);
  if (ratio == 4) {
    layer.index_wq_b =
        bind.weight(p + "indexer.wq_b.weight", c.index_n_heads * c.index_head_dim, c.q_lora_rank);
    layer.index_weights = bind.weight(p + "indexer.weights_proj.weight", c.index_n_heads, D);
    layer.index_compressor = bind.compressor(p + "indexer.compressor.", ratio, c.index_head_dim, D);
  }
}

void bind_experts(Binder& bind, const std::string& p, const ModelConfig& c, bool hashed,
                  LayerWeights& layer) {
  const int64_t D = c.hidden_size, F = c.moe_intermediate_size;
  layer.gate = bind.weight(p + "gate.weight", c.n_routed_experts, D);
  if (hashed) {
    layer.tid2eid = bind.expert_table(p + "gate.tid2eid", c);
  } else {
    layer.gate_bias = bind.vector(p + "gate.bias", c.n_routed_experts);
  }
  for (int64_t e = 0; e < c.n_routed_experts && bind.ok(); ++e) {
    layer.experts.push_back(bind.expert(p + "experts." + std::to_string(e) + ".", D, F));
  }
  layer.shared = bind.expert(p + "shared_experts.", D, F * c.n_shared_experts);
}

LayerWeights bind_layer(Binder& bind, const std::string& p, const ModelConfig& c, int64_t ratio,
                        bool hashed) {
  LayerWeights layer;
  layer.ratio = static_cast<size_t>(ratio);
  layer.attn_hc = bind.site(p + "hc_attn", kMixes, 3, c.hidden_size);
  layer.ffn_hc = bind.site(p + "hc_ffn", kMixes, 3, c.hidden_size);
  layer.attn_norm = bind.vector(p + "attn_norm.weight", c.hidden_size);
  layer.ffn_norm = bind.vector(p + "ffn_norm.weight", c.hidden_size);
  bind_attention(bind, p + "attn.", c, layer);
  bind_experts(bind, p + "ffn.", c, hashed, layer);
  return layer;
}

HeadWeights bind_head(Binder& bind, const std::string& p, const ModelConfig& c) {
  return {bind.site(p + "hc_head", kStreams, 1, c.hidden_size),
          bind.vector(p + "norm.weight", c.hidden_size)};
}

MtpWeights bind_mtp(Binder& bind, const std::string& p, const ModelConfig& c, int64_t ratio) {
  MtpWeights mtp;
  mtp.block = bind_layer(bind, p, c, ratio, false);
  mtp.e_proj = bind.weight(p + "e_proj.weight", c.hidden_size, c.hidden_size);
  mtp.h_proj = bind.weight(p + "h_proj.weight", c.hidden_size, c.hidden_size);
  mtp.enorm = bind.vector(p + "enorm.weight", c.hidden_size);
  mtp.hnorm = bind.vector(p + "hnorm.weight", c.hidden_size);
  mtp.head = bind_head(bind, p, c);
  return mtp;
}

}  // namespace

Vector::Vector(Backend& backend, std::span<const float> values)
    : backend_(&backend),
      data_(static_cast<float*>(backend.allocate(values.size_bytes()))),
      size_(values.size()) {
  SABLE_CHECK(data_ != nullptr);
  backend.copy(data_, values.data(), values.size_bytes());
}

Vector& Vector::operator=(Vector&& other) noexcept {
  std::swap(backend_, other.backend_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Vector::~Vector() {
  if (data_ != nullptr) backend_->release(data_, size_ * sizeof(float));
}

Result<std::unique_ptr<Model>> Model::load(std::shared_ptr<const Checkpoint> checkpoint,
                                           Backend& backend) {
  const ModelConfig& c = checkpoint->config();
  if (c.hc_mult != static_cast<int64_t>(kStreams)) {
    return fail(ErrorCode::unsupported, "hc_mult: only 4 residual streams are supported");
  }
  std::unique_ptr<Model> model(new Model(checkpoint));
  Binder bind(*checkpoint, backend);
  model->embed = bind.weight("embed.weight", c.vocab_size, c.hidden_size);
  model->head = bind.weight("head.weight", c.vocab_size, c.hidden_size);
  model->trunk_head = bind_head(bind, "", c);
  for (int64_t l = 0; l < c.num_hidden_layers && bind.ok(); ++l) {
    const std::string prefix = "layers." + std::to_string(l) + ".";
    model->layers.push_back(bind_layer(bind, prefix, c, c.ratio(l), c.hash_routed(l)));
  }
  for (int64_t m = 0; m < c.num_nextn_predict_layers && bind.ok(); ++m) {
    const std::string prefix = "mtp." + std::to_string(m) + ".";
    // A file may leave the drafting block out: the trunk does not need it.
    if (checkpoint->find(prefix + "e_proj.weight") == nullptr) break;
    model->mtp.push_back(bind_mtp(bind, prefix, c, c.ratio(c.num_hidden_layers + m)));
  }
  if (!bind.ok()) return fail(ErrorCode::corrupt, bind.problem());
  return model;
}

}  // namespace sable::inference
