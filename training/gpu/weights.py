"""A checkpoint of F32 tensors as leaves for autograd, and the optimiser that moves them: Muon for the
matrices between activations, AdamW for the rest, as training/optimizer.cpp has them."""
import json
import math
import struct

import numpy as np
import torch

DTYPES = {"F32": "<f4", "I32": "<i4", "I64": "<i8", "I8": "i1"}


def read_tensors(path):
    """Name to array, of a safetensors file."""
    data = open(path, "rb").read()
    (length,) = struct.unpack("<Q", data[:8])
    arrays = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        first, last = (8 + length + at for at in entry["data_offsets"])
        arrays[name] = np.frombuffer(data[first:last], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays


def write_tensors(path, like, values):
    """The file `like` with other numbers; values: name to array."""
    data = bytearray(open(like, "rb").read())
    (length,) = struct.unpack("<Q", data[:8])
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name in values:
            first, last = (8 + length + at for at in entry["data_offsets"])
            data[first:last] = np.ascontiguousarray(values[name], DTYPES[entry["dtype"]]).tobytes()
    with open(path, "wb") as out:
        out.write(data)


# Numbers of a format between two powers of two, its smallest normal number, its largest number.
FP8 = (8.0, 2.0**-6, 448.0)
FP4 = (2.0, 1.0, 6.0)


def on_grid(x, grid, largest):
    """x rounded to the format, with the smallest power of two as scale that holds `largest`."""
    steps, lowest, top = grid
    scale = torch.exp2(torch.ceil(torch.log2(largest.clamp(min=1e-30) / top)))
    y = (x / scale).clamp(-top, top)
    quantum = torch.exp2((torch.frexp(y).exponent - 1).float()).clamp(min=lowest) / steps
    return torch.round(y / quantum) * quantum * scale


def round_fp8(x):
    """x [n, rows, cols], a scale for each 128 x 128."""
    n, rows, cols = x.shape
    blocks = x.view(n, rows // 128, 128, cols // 128, 128)
    return on_grid(blocks, FP8, blocks.abs().amax((2, 4), keepdim=True)).view_as(x)


def round_fp4(x):
    """x [n, rows, cols], a scale for each 32 numbers of a row."""
    runs = x.view(x.shape[0], x.shape[1], -1, 32)
    return on_grid(runs, FP4, runs.abs().amax(-1, keepdim=True)).view_as(x)


class Weights:
    """The tensors of a checkpoint: `tree` is what model.py reads. Matrices of one shape lie in one
    buffer (so that Muon takes them together), everything else in another; so do their gradients."""

    def __init__(self, arrays, config, device):
        self.arrays, self.config, self.device = arrays, config, device
        self.formats = {}  # (rows, cols) -> ["fp4", ...]
        self.masters = None
        self.stacks = {}   # (rows, cols) -> [array, ...] while gathering, then tensor
        self.flat = []
        self.places = []   # (name or names, kind, key, first, count)
        self.biases = {}
        self.leaves = []
        plan = self._plan()
        self._allocate()
        self.tree = self._build(plan)

    def _matrix(self, names, blocks=1):
        """Names that make one leaf, one after another; `blocks` of rows that are updated alone."""
        first_array = self.arrays[names[0]]
        rows, cols = first_array.shape[0] // blocks, first_array.shape[1]
        stack = self.stacks.setdefault((rows, cols), [])
        place = ("muon", (rows, cols), len(stack), len(names) * blocks)
        for name in names:
            stack.extend(self.arrays[name].reshape(blocks, rows, cols))
        self.formats.setdefault((rows, cols), []).extend(
            kind for name in names for kind in [self._format(name)] * blocks)
        self.places.append((names, blocks, place))
        single = len(names) == 1 and blocks == 1
        return (place, (rows, cols) if single else (len(names) * blocks, rows, cols))

    def _vector(self, name):
        array = self.arrays[name]
        first = sum(a.size for a in self.flat)
        self.flat.append(array)
        place = ("adamw", None, first, array.size)
        self.places.append(([name], 1, place))
        return (place, tuple(array.shape))

    def _site(self, prefix):
        return tuple(self._vector(prefix + part) for part in ("fn", "base", "scale"))

    def _compressor(self, prefix):
        return {
            "wkv": self._matrix([prefix + "wkv.weight"]),
            "wgate": self._matrix([prefix + "wgate.weight"]),
            "ape": self._vector(prefix + "ape"),
            "norm": self._vector(prefix + "norm.weight"),
        }

    def _plan(self):
        c = self.config
        plan = {"embed": self._vector("embed.weight"), "layers": []}
        for l in range(c["num_hidden_layers"]):
            p, attn, ffn = f"layers.{l}.", f"layers.{l}.attn.", f"layers.{l}.ffn."
            units = [f"{ffn}experts.{e}." for e in range(c["n_routed_experts"])]
            units.append(ffn + "shared_experts.")
            layer = {
                "attn_norm": self._vector(p + "attn_norm.weight"),
                "ffn_norm": self._vector(p + "ffn_norm.weight"),
                "attn_site": self._site(p + "hc_attn_"),
                "ffn_site": self._site(p + "hc_ffn_"),
                "q_norm": self._vector(attn + "q_norm.weight"),
                "kv_norm": self._vector(attn + "kv_norm.weight"),
                "sink": self._vector(attn + "attn_sink"),
                "wq_a": self._matrix([attn + "wq_a.weight"]),
                "wq_b": self._matrix([attn + "wq_b.weight"]),
                "wkv": self._matrix([attn + "wkv.weight"]),
                "wo_a": self._matrix([attn + "wo_a.weight"], c["o_groups"]),
                "wo_b": self._matrix([attn + "wo_b.weight"]),
                "router": self._vector(ffn + "gate.weight"),
                "w13": self._matrix([u + m for m in ("w1.weight", "w3.weight") for u in units]),
                "w2": self._matrix([u + "w2.weight" for u in units]),
            }
            if c["compress_ratios"][l] > 0:
                layer["compressor"] = self._compressor(attn + "compressor.")
            if l < c["num_hash_layers"]:
                layer["table"] = torch.tensor(self.arrays[ffn + "gate.tid2eid"].astype(np.int64))
            else:
                self.biases[l] = layer["bias"] = torch.tensor(self.arrays[ffn + "gate.bias"])
            plan["layers"].append(layer)
        plan["norm"] = self._vector("norm.weight")
        plan["head"] = self._vector("head.weight")
        for part in ("fn", "base", "scale"):
            plan["head_" + part] = self._vector("hc_head_" + part)
        return plan

    def _allocate(self):
        to = lambda a: torch.tensor(a).to(self.device)
        self.stacks = {shape: to(np.stack(list_)) for shape, list_ in self.stacks.items()}
        self.flat = to(np.concatenate([a.ravel() for a in self.flat]))
        self.stack_gradients = {k: torch.zeros_like(v) for k, v in self.stacks.items()}
        self.flat_gradient = torch.zeros_like(self.flat)

    def _leaf(self, place, shape):
        kind, key, first, count = place
        values = self.stacks[key] if kind == "muon" else self.flat
        gradient = self.stack_gradients[key] if kind == "muon" else self.flat_gradient
        leaf = values[first : first + count].view(shape).detach().requires_grad_()
        leaf.grad = gradient[first : first + count].view(shape)
        self.leaves.append(leaf)
        return leaf

    def _build(self, plan):
        if isinstance(plan, dict):
            return {key: self._build(value) for key, value in plan.items()}
        if isinstance(plan, list):
            return [self._build(value) for value in plan]
        if isinstance(plan, torch.Tensor):
            return plan.to(self.device)
        if isinstance(plan[0][0], str):
            return self._leaf(*plan)
        return tuple(self._build(value) for value in plan)

    def biases_of(self, layer):
        return self.tree["layers"][layer].get("bias")

    @staticmethod
    def _format(name):
        return "bf16" if "compressor" in name else "fp4" if ".experts." in name else "fp8"

    @torch.no_grad()
    def show_rounded(self):
        """From now on passes see matrices as the shipped formats hold them; call after every step."""
        if self.masters is None:
            self.masters = {key: stack.clone() for key, stack in self.stacks.items()}
            self.chosen = {key: {f: torch.tensor([i for i, g in enumerate(formats) if g == f], device=self.device)
                                 for f in set(formats)} for key, formats in self.formats.items()}
        rounding = {"fp4": round_fp4, "fp8": round_fp8, "bf16": lambda x: x.bfloat16().float()}
        for key, master in self.masters.items():
            for f, at in self.chosen[key].items():
                self.stacks[key][at] = rounding[f](master[at])

    def moved(self, key):
        """What the optimiser moves."""
        return self.stacks[key] if self.masters is None else self.masters[key]

    def numbers(self):
        """Name to array, for write_tensors; not rounded."""
        values = {}
        for names, blocks, (kind, key, first, count) in self.places:
            source = self.moved(key) if kind == "muon" else self.flat
            part = source[first : first + count].detach().cpu().numpy()
            for i, name in enumerate(names):
                shape = self.arrays[name].shape
                values[name] = (part[i * blocks : (i + 1) * blocks] if kind == "muon" else part).reshape(shape)
        for l in self.biases:
            values[f"layers.{l}.ffn.gate.bias"] = self.biases_of(l).cpu().numpy()
        return values


def orthogonalize(x):
    """x [n, rows, cols] to nearly the nearest matrices with orthonormal rows or columns."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.shape[1] > x.shape[2]
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-12)
    x = (x.transpose(1, 2) if tall else x).to(torch.bfloat16 if x.is_cuda else x.dtype)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.transpose(1, 2) if tall else x).float()


class Optimizer:
    def __init__(self, weights):
        self.weights = weights
        self.momentum = {k: torch.zeros_like(v) for k, v in weights.stacks.items()}
        self.first = torch.zeros_like(weights.flat)
        self.second = torch.zeros_like(weights.flat)
        self.decays = torch.zeros_like(weights.flat)
        for names, _, (_, _, first, count) in weights.places:
            if names == ["head.weight"]:
                self.decays[first : first + count] = 1
        self.n_steps = 0

    @torch.no_grad()
    def step(self, muon, adamw, decay=0.1):
        w = self.weights
        self.n_steps += 1
        for rows, cols in w.stacks:
            values = w.moved((rows, cols))
            g, m = w.stack_gradients[rows, cols], self.momentum[rows, cols]
            m.mul_(0.95).add_(g)
            update = orthogonalize(g + 0.95 * m)
            values.mul_(1 - muon * decay).sub_(update, alpha=0.2 * math.sqrt(max(rows, cols)) * muon)
            g.zero_()
        g = w.flat_gradient
        self.first.lerp_(g, 0.1)
        self.second.mul_(0.95).addcmul_(g, g, value=0.05)
        correct1, correct2 = 1 - 0.9**self.n_steps, 1 - 0.95**self.n_steps
        root = (self.second / correct2).sqrt_().add_(1e-8)
        w.flat.mul_(1 - adamw * decay * self.decays)
        w.flat.addcdiv_(self.first, root, value=-adamw / correct1)
        g.zero_()

    @torch.no_grad()
    def balance(self, loads, rate=1e-3):
        """Selection biases towards equal load."""
        for l in self.weights.biases:
            bias, load = self.weights.biases_of(l), loads[l]
            bias.add_(torch.sign(load.sum() - load * load.numel()), alpha=rate)
