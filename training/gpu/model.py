"""The embedded model in PyTorch: the same forward pass as training/model.cpp, for many sequences in one
row of tokens, each beginning at a multiple of 128. The indexer is left out: sable-train trains it.

Sources: DeepSeek-V4 (arXiv 2606.19348) and its released inference/model.py.
"""
import math

import torch
import torch.nn.functional as F

STREAMS = 4
MIXES = (2 + STREAMS) * STREAMS
BLOCK = 128  # where sequences may begin; also the largest compression ratio


def frequencies(config, compressed):
    """Angles per position, [rope / 2], in double."""
    dim = config["qk_rope_head_dim"]
    base = config["compress_rope_theta" if compressed else "rope_theta"]
    i = torch.arange(dim // 2, dtype=torch.float64)
    theta = base ** (-2 * i / dim)
    if not compressed:
        return theta
    yarn = config["rope_scaling"]

    def index_of(turns):
        original = yarn["original_max_position_embeddings"]
        return dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(index_of(yarn["beta_fast"])), 0)
    high = min(math.ceil(index_of(yarn["beta_slow"])), dim - 1)
    keep = 1 - ((i - low) / max(high - low, 0.001)).clamp(0, 1)
    return theta / yarn["factor"] * (1 - keep) + theta * keep


def turn(x, cos, sin):
    """x [..., c] with its last pairs turned; cos and sin broadcast to [..., rope / 2]."""
    rope = 2 * cos.shape[-1]
    pairs = x[..., -rope:].unflatten(-1, (rope // 2, 2))
    a, b = pairs[..., 0], pairs[..., 1]
    turned = torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)
    return torch.cat((x[..., :-rope], turned), -1)


def rms_norm(x, weight, eps):
    x = x.float()
    x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    return x if weight is None else x * weight


def mix_reference(z, iterations, eps):
    """z [n, 24] to pre, post and the Sinkhorn projection of comb, [n, 24]; plain PyTorch."""
    n = STREAMS
    pre = torch.sigmoid(z[:, :n]) + eps
    post = 2 * torch.sigmoid(z[:, n : 2 * n])
    c = torch.softmax(z[:, 2 * n :].unflatten(1, (n, n)), -1) + eps
    c = c / (c.sum(1, keepdim=True) + eps)
    for _ in range(iterations - 1):
        c = c / (c.sum(2, keepdim=True) + eps)
        c = c / (c.sum(1, keepdim=True) + eps)
    return torch.cat((pre, post, c.flatten(1)), 1)


def linear(x, weight, low):
    """x weight^T, in BF16 when `low`."""
    return F.linear(x.bfloat16(), weight.bfloat16()) if low else F.linear(x, weight)


class Shape:
    """Sizes and constants of a configuration."""

    def __init__(self, config):
        self.D = config["hidden_size"]
        self.H = config["num_attention_heads"]
        self.c = config["head_dim"]
        self.groups = config["o_groups"]
        self.E = config["n_routed_experts"]
        self.K = config["num_experts_per_tok"]
        self.F = config["moe_intermediate_size"]
        self.ratios = config["compress_ratios"][: config["num_hidden_layers"]]
        self.n_hashed = config["num_hash_layers"]
        self.window = config["sliding_window"]
        self.eps = config["rms_norm_eps"]
        self.hc_eps = config["hc_eps"]
        self.iterations = config["hc_sinkhorn_iters"]
        self.limit = config["swiglu_limit"]
        self.route_scale = config["routed_scaling_factor"]


class Rows:
    """Packed sequences: tokens, positions and sequence numbers [n]; angles follow from positions."""

    def __init__(self, tokens, pos, doc, tables):
        self.tokens, self.pos, self.doc = tokens, pos, doc
        self.plain = tuple(table[pos] for table in tables[0])
        self.compressed = tuple(table[pos] for table in tables[1])


def rotation_tables(config, n, device):
    tables = []
    for compressed in (False, True):
        angle = torch.arange(n, dtype=torch.float64)[:, None] * frequencies(config, compressed)
        tables.append((angle.cos().float().to(device), angle.sin().float().to(device)))
    return tables


def read_site(streams, site, shape, mix):
    """The sublayer's input [n, D], and post [n, 4] and comb [n, 4 sources, 4]."""
    fn, base, scale = site
    flat = streams.flatten(1)
    raw = F.linear(flat, fn) * torch.rsqrt(flat.square().mean(-1, keepdim=True) + shape.eps)
    n = STREAMS
    scales = torch.cat((scale[0:1].expand(n), scale[1:2].expand(n), scale[2:3].expand(n * n)))
    m = mix(raw * scales + base, shape.iterations, shape.hc_eps)
    x = streams.unbind(1)
    y = sum(m[:, j : j + 1] * x[j] for j in range(n))
    return y, m[:, n:]


def merge(streams, mixes, f):
    n = STREAMS
    x = streams.unbind(1)
    f = f.float()
    out = []
    for k in range(n):
        carried = sum(mixes[:, n + j * n + k, None] * x[j] for j in range(n))
        out.append(mixes[:, k, None] * f + carried)
    return torch.stack(out, 1)


def compress(x, w, ratio, rows, shape, low):
    """Entries [n / ratio, c] from x [n, D]."""
    values, gates = linear(x, w["wkv"], low).float(), linear(x, w["wgate"], low).float()
    blocks = x.shape[0] // ratio
    values = values.unflatten(0, (blocks, ratio))
    gates = gates.unflatten(0, (blocks, ratio)) + w["ape"]
    first = rows.pos.view(blocks, ratio)[:, 0]
    if values.shape[-1] == 2 * shape.c:
        # The block before lends its low halves, unless it is of another sequence.
        def with_block_before(t, at_begin):
            before = torch.cat((t[:1, :, : shape.c] * 0, t[:-1, :, : shape.c]))
            before = torch.where((first == 0)[:, None, None], at_begin, before)
            return torch.cat((before, t[:, :, shape.c :]), 1)

        values = with_block_before(values, 0.0)
        gates = with_block_before(gates, -1e30)
    entries = rms_norm((torch.softmax(gates, 1) * values).sum(1), w["norm"], shape.eps)
    cos, sin = (table.view(blocks, ratio, -1)[:, 0] for table in rows.compressed)
    return turn(entries, cos, sin)


def visible(q, k, doc, n, ratio, window):
    """Whether query q sees key k: tokens first, then compressed entries."""
    e = k - n
    if ratio == 0:
        at = k
        seen = (k <= q) & (q - k < window)
    else:
        token = k < n
        at = torch.where(token, k, (e * ratio).clamp(0, n - 1))
        seen = torch.where(token, (k <= q) & (q - k < window), ((e + 1) * ratio <= q + 1) & (e * ratio < n))
    return seen & (doc[q] == doc[at])


def attend_reference(q, keys, sink, doc, ratio, shape):
    """Plain softmax over everything that is visible, and the sink. q [n, H, c], keys [m, c]."""
    n, m = q.shape[0], keys.shape[0]
    qi, ki = torch.arange(n)[:, None], torch.arange(m)[None]
    mask = visible(qi, ki, doc, n, ratio, shape.window)
    scores = torch.einsum("nhc,mc->hnm", q, keys) / math.sqrt(shape.c)
    scores = scores.masked_fill(~mask, -1e30)
    scores = torch.cat((scores, sink[:, None, None].expand(-1, n, 1)), -1)
    p = torch.softmax(scores, -1)[..., :-1]
    return torch.einsum("hnm,mc->nhc", p, keys)


def attention(x, w, ratio, rows, shape, low, attend):
    n = x.shape[0]
    cos, sin = rows.plain if ratio == 0 else rows.compressed
    qr = rms_norm(linear(x, w["wq_a"], low), w["q_norm"], shape.eps)
    q = rms_norm(linear(qr, w["wq_b"], low).view(n, shape.H, shape.c), None, shape.eps)
    q = turn(q, cos[:, None], sin[:, None])
    keys = turn(rms_norm(linear(x, w["wkv"], low), w["kv_norm"], shape.eps), cos, sin)
    if ratio > 0:
        keys = torch.cat((keys, compress(x, w["compressor"], ratio, rows, shape, low)))
    o = attend(q, keys, w["sink"], ratio)
    o = turn(o.float(), cos[:, None], -sin[:, None])
    o = o.reshape(n, shape.groups, -1)
    wo_a = w["wo_a"]
    if low:
        o, wo_a = o.bfloat16(), wo_a.bfloat16()
    z = torch.einsum("ngw,grw->ngr", o, wo_a).flatten(1)
    return linear(z, w["wo_b"], low)


def experts(x, w, tokens, shape, low):
    """Every expert works on every token; those that were not chosen weigh nothing. Also how many
    tokens chose each."""
    n = x.shape[0]
    score = F.softplus(F.linear(x, w["router"])).sqrt()
    if "table" in w:
        chosen = w["table"][tokens]
    else:
        chosen = torch.topk(score.detach() + w["bias"], shape.K, -1).indices
    picked = torch.gather(score, 1, chosen)
    share = picked / picked.sum(-1, keepdim=True) * shape.route_scale
    weight = torch.zeros_like(score).scatter(1, chosen, share)
    weight = torch.cat((weight, torch.ones_like(weight[:, :1])), 1)
    inner = linear(x, w["w13"].flatten(0, 1), low).float().view(n, 2, shape.E + 1, shape.F)
    g = inner[:, 0].clamp(max=shape.limit)
    u = inner[:, 1].clamp(-shape.limit, shape.limit)
    h = (F.silu(g) * u * weight[:, :, None]).flatten(1)
    w2 = w["w2"].transpose(0, 1).flatten(1)  # [D, (E + 1) F]
    load = torch.zeros_like(score[0]).index_add(0, chosen.flatten(), torch.ones_like(share).flatten())
    return linear(h, w2, low), load


def layer(streams, w, ratio, rows, shape, low, mix, attend):
    y, mixes = read_site(streams, w["attn_site"], shape, mix)
    x = rms_norm(y, w["attn_norm"], shape.eps)
    streams = merge(streams, mixes, attention(x, w, ratio, rows, shape, low, attend))
    y, mixes = read_site(streams, w["ffn_site"], shape, mix)
    x = rms_norm(y, w["ffn_norm"], shape.eps)
    out, load = experts(x, w, rows.tokens, shape, low)
    return merge(streams, mixes, out), load


def begin(tokens, w):
    return w["embed"][tokens][:, None].expand(-1, STREAMS, -1).contiguous()


def logits(streams, w, shape, low):
    flat = streams.flatten(1)
    raw = F.linear(flat, w["head_fn"]) * torch.rsqrt(flat.square().mean(-1, keepdim=True) + shape.eps)
    pre = torch.sigmoid(raw * w["head_scale"] + w["head_base"]) + shape.hc_eps
    y = (pre[:, :, None] * streams).sum(1)
    return linear(rms_norm(y, w["norm"], shape.eps), w["head"], low).float()


def forward(w, rows, shape, low=False, mix=mix_reference, attend=None, layer=layer):
    """Logits [n, V], and how many tokens each layer's experts got."""
    if attend is None:
        def attend(q, keys, sink, ratio):
            return attend_reference(q, keys, sink, rows.doc, ratio, shape)
    streams = begin(rows.tokens, w)
    loads = []
    for l, ratio in enumerate(shape.ratios):
        streams, load = layer(streams, w["layers"][l], ratio, rows, shape, low, mix, attend)
        loads.append(load)
    return logits(streams, w, shape, low), loads
