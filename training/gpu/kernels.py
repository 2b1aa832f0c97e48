"""What a GPU does in one kernel: the mixes of hyper-connections with their Sinkhorn projection (CUDA),
and attention over window and entries (PyTorch's flex_attention)."""
import math

import cupy
import numpy
import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

import model
from model import BLOCK

SOURCE = r"""
#define N 4
struct Comb { float c[N * N]; };

__device__ void soften(const float* z, float* c, float eps) {
  for (int j = 0; j < N; ++j) {
    float top = z[j * N], sum = 0;
    for (int k = 1; k < N; ++k) top = fmaxf(top, z[j * N + k]);
    for (int k = 0; k < N; ++k) sum += c[j * N + k] = expf(z[j * N + k] - top);
    for (int k = 0; k < N; ++k) c[j * N + k] = c[j * N + k] / sum + eps;
  }
}
template <bool Rows> __device__ int at(int l, int i) { return Rows ? l * N + i : i * N + l; }

template <bool Rows> __device__ void normalize(float* c, float eps, float* sums) {
#pragma unroll
  for (int l = 0; l < N; ++l) {
    float sum = eps;
#pragma unroll
    for (int i = 0; i < N; ++i) sum += c[at<Rows>(l, i)];
    sums[l] = sum;
#pragma unroll
    for (int i = 0; i < N; ++i) c[at<Rows>(l, i)] /= sum;
  }
}
// c: after the normalisation, on return before it; d likewise.
template <bool Rows> __device__ void back(float* c, const float* sums, float* d) {
#pragma unroll
  for (int l = 0; l < N; ++l) {
    float dot = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) dot += d[at<Rows>(l, i)] * c[at<Rows>(l, i)];
#pragma unroll
    for (int i = 0; i < N; ++i) {
      d[at<Rows>(l, i)] = (d[at<Rows>(l, i)] - dot) / sums[l];
      c[at<Rows>(l, i)] *= sums[l];
    }
  }
}
__device__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

extern "C" __global__ void mix_forward(const float* z, float* out, long long n, float eps) {
  const long long t = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (t >= n) return;
  z += t * 24; out += t * 24;
  float c[N * N], in[N * N], sums[N];
  for (int i = 0; i < N * N; ++i) in[i] = z[8 + i];
  soften(in, c, eps);
  normalize<false>(c, eps, sums);
#pragma unroll 1
  for (int i = 1; i < ITERATIONS; ++i) {
    normalize<true>(c, eps, sums);
    normalize<false>(c, eps, sums);
  }
  for (int j = 0; j < N; ++j) out[j] = sigmoid(z[j]) + eps;
  for (int j = 0; j < N; ++j) out[N + j] = 2 * sigmoid(z[N + j]);
  for (int i = 0; i < N * N; ++i) out[8 + i] = c[i];
}

extern "C" __global__ void mix_backward(const float* z, const float* dout, float* dz, long long n, float eps) {
  const long long t = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (t >= n) return;
  z += t * 24; dout += t * 24; dz += t * 24;
  float c[N * N], d[N * N], in[N * N], sums[2 * ITERATIONS - 1][N];
  for (int i = 0; i < N * N; ++i) in[i] = z[8 + i];
  soften(in, c, eps);
  normalize<false>(c, eps, sums[0]);
#pragma unroll
  for (int i = 1; i < ITERATIONS; ++i) {
    normalize<true>(c, eps, sums[2 * i - 1]);
    normalize<false>(c, eps, sums[2 * i]);
  }
  for (int i = 0; i < N * N; ++i) d[i] = dout[8 + i];
#pragma unroll
  for (int i = ITERATIONS - 1; i > 0; --i) {
    back<false>(c, sums[2 * i], d);
    back<true>(c, sums[2 * i - 1], d);
  }
  back<false>(c, sums[0], d);
  soften(in, c, 0.0f);
  for (int j = 0; j < N; ++j) {
    float dot = 0;
    for (int k = 0; k < N; ++k) dot += d[j * N + k] * c[j * N + k];
    for (int k = 0; k < N; ++k) dz[8 + j * N + k] = c[j * N + k] * (d[j * N + k] - dot);
  }
  for (int j = 0; j < N; ++j) {
    const float p = sigmoid(z[j]), q = sigmoid(z[N + j]);
    dz[j] = dout[j] * p * (1 - p);
    dz[N + j] = dout[N + j] * 2 * q * (1 - q);
  }
}
"""
_module = None


def _run(name, iterations, n, *arguments):
    global _module
    if _module is None:
        _module = cupy.RawModule(code=SOURCE, options=("--std=c++17", f"-DITERATIONS={iterations}"))
    kernel = _module.get_function(name)
    with cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream):
        kernel(((n + 127) // 128,), (128,), arguments)


def _pointer(t):
    return numpy.uint64(t.data_ptr())


@torch.library.custom_op("sable::mix", mutates_args=())
def mix(z: torch.Tensor, iterations: int, eps: float) -> torch.Tensor:
    z = z.contiguous()
    out = torch.empty_like(z)
    _run("mix_forward", iterations, z.shape[0], _pointer(z), _pointer(out), numpy.int64(z.shape[0]), numpy.float32(eps))
    return out


@mix.register_fake
def _(z, iterations, eps):
    return torch.empty(z.shape, dtype=z.dtype, device=z.device)


@torch.library.custom_op("sable::mix_backward", mutates_args=())
def mix_backward(z: torch.Tensor, dout: torch.Tensor, iterations: int, eps: float) -> torch.Tensor:
    z, dout = z.contiguous(), dout.contiguous()
    dz = torch.empty_like(z)
    _run("mix_backward", iterations, z.shape[0], _pointer(z), _pointer(dout), _pointer(dz), numpy.int64(z.shape[0]),
         numpy.float32(eps))
    return dz


@mix_backward.register_fake
def _(z, dout, iterations, eps):
    return torch.empty(z.shape, dtype=z.dtype, device=z.device)


def _setup(ctx, inputs, output):
    z, ctx.iterations, ctx.eps = inputs
    ctx.save_for_backward(z)


def _backward(ctx, dout):
    (z,) = ctx.saved_tensors
    return mix_backward(z, dout, ctx.iterations, ctx.eps), None, None


mix.register_autograd(_backward, setup_context=_setup)


class Attention:
    """Attention of one row at a time; show() it the row before a forward pass."""

    def __init__(self, shape, n, device):
        self.shape, self.n = shape, n
        self.doc = torch.zeros(n, dtype=torch.int32, device=device)
        self.masks = {}
        self.rules = {ratio: self._rule(ratio) for ratio in set(shape.ratios)}

    def _rule(self, ratio):
        doc, n, window = self.doc, self.n, self.shape.window

        def rule(b, h, q, k):
            return model.visible(q, k, doc, n, ratio, window)

        return rule

    def n_keys(self, ratio):
        n_entries = 0 if ratio == 0 else self.n // ratio
        return self.n + (n_entries + BLOCK - 1) // BLOCK * BLOCK

    def show(self, doc, blocks):
        """blocks: ratio to (counts, indices) as data.key_blocks gives them, on the GPU."""
        self.doc.copy_(doc)
        for ratio, (counts, indices) in blocks.items():
            self.masks[ratio] = BlockMask.from_kv_blocks(
                counts[None, None], indices[None, None], BLOCK_SIZE=BLOCK, mask_mod=self.rules[ratio],
                seq_lengths=(self.n, self.n_keys(ratio)))

    def __call__(self, q, keys, sink, ratio):
        """q [n, H, c] and keys [m, c] to [n, H, c]."""
        missing = self.n_keys(ratio) - keys.shape[0]
        if missing:
            keys = torch.cat((keys, keys.new_zeros(missing, keys.shape[1])))
        q = q.bfloat16().transpose(0, 1)[None].contiguous()
        keys = keys.bfloat16()[None, None]
        o, lse = flex_attention(q, keys, keys, block_mask=self.masks[ratio], scale=1 / math.sqrt(self.shape.c),
                                enable_gqa=True, return_lse=True)
        # A sink takes its share of the softmax and gives nothing.
        o = o.float() * torch.sigmoid(lse.float() - sink[:, None])[..., None]
        return o[0].transpose(0, 1)
