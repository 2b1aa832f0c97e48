#!/usr/bin/env python3
"""Trains the embedded model on a GPU; docs/training.md says when and how.

    train.py START --out FOLDER --minutes 20      START: what `sable-train start` wrote
    train.py START --score                        only score its weights on the held-out episodes

The weights in FOLDER are F32; `sable-train model --from FOLDER --fresh` goes on with them: it trains
the indexer and rounds to the shipped formats.
"""
import argparse
import json
import multiprocessing
import os
import shutil
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import data  # noqa: E402
import model  # noqa: E402
from weights import Optimizer, Weights, read_tensors, write_tensors  # noqa: E402


def produce(material, n, seed, first, stride, ratios, window, copy_share, out):
    """A worker: rows first, first + stride, ..."""
    torch.set_num_threads(1)
    step = first
    while True:
        row = data.training_row(material, n, seed, step, copy_share.value)
        blocks = {r: data.key_blocks(row, r, window) for r in ratios}
        out.put((row.tokens, row.pos, row.doc, row.weight, row.copied, blocks))
        step += stride


class Model:
    """The weights on a device, and passes over rows."""

    def __init__(self, start, n, device):
        self.config = json.load(open(os.path.join(start, "config.json")))
        self.shape = model.Shape(self.config)
        self.device, self.n = device, n
        self.weights = Weights(read_tensors(os.path.join(start, "model.safetensors")), self.config, device)
        self.tables = model.rotation_tables(self.config, max(n, 4096), device)
        self.on_gpu = device.type == "cuda"
        if self.on_gpu:
            import kernels

            torch.set_float32_matmul_precision("high")
            torch._dynamo.config.cache_size_limit = 64
            self.attention = kernels.Attention(self.shape, n, device)
            self.options = {"low": True, "mix": kernels.mix, "attend": self.attention,
                            "layer": torch.compile(model.layer, dynamic=False)}
            self.logits = torch.compile(self._loss, dynamic=False)
        else:
            self.options = {}
            self.logits = self._loss

    def to_device(self, array, dtype):
        t = torch.from_numpy(array).to(dtype)
        return t.pin_memory().to(self.device, non_blocking=True) if self.on_gpu else t

    def _loss(self, scores, tokens, weight):
        """Summed loss, and which predictions were right [n - 1]."""
        wanted = tokens[1:]
        loss = F.cross_entropy(scores[:-1], wanted, reduction="none")
        return (loss * weight[:-1]).sum(), scores[:-1].argmax(-1) == wanted

    def run(self, tokens, pos, doc, weight, blocks):
        tokens, pos = self.to_device(tokens, torch.int64), self.to_device(pos, torch.int64)
        doc, weight = self.to_device(doc, torch.int32), self.to_device(weight, torch.float32)
        if self.on_gpu:
            self.attention.show(doc, {r: tuple(self.to_device(a, torch.int32) for a in b) for r, b in blocks.items()})
        rows = model.Rows(tokens, pos, doc, self.tables)
        scores, loads = model.forward(self.weights.tree, rows, self.shape, **self.options)
        loss, right = self.logits(scores, tokens, weight)
        return loss, right, loads

    def score(self, material, n_max):
        """By family: [episodes, those whose every token by the model is the most likely one]."""
        sequences, n = material.held_out, self.n
        table, row, members = {}, data.Row(n), []

        def finish():
            blocks = {r: data.key_blocks(row, r, self.shape.window) for r in set(self.shape.ratios)}
            _, right, _ = self.run(row.tokens, row.pos, row.doc, row.weight, blocks)
            right = right.cpu().numpy()
            for family, first, count in members:
                asked = row.weight[first : first + count - 1] > 0
                entry = table.setdefault(family, [0, 0])
                entry[0] += 1
                entry[1] += bool(right[first : first + count - 1][asked].all())

        for i in range(min(len(sequences), n_max)):
            tokens, by_model = sequences[i]
            if len(tokens) > n:
                continue
            weight = data.weights_of(material, tokens, by_model, 0.0)
            first = row.at
            if not row.add(tokens, weight):
                finish()
                row, members, first = data.Row(n), [], 0
                row.add(tokens, weight)
            members.append((sequences.family[i], first, len(tokens)))
        finish()
        return table

    def save(self, start, out):
        os.makedirs(out, exist_ok=True)
        for name in ("config.json", "tokenizer.json"):
            shutil.copy(os.path.join(start, name), out)
        write_tensors(os.path.join(out, "model.safetensors"), os.path.join(start, "model.safetensors"),
                      self.weights.numbers())


def show_scores(table):
    right, n = sum(r for _, r in table.values()), sum(n for n, _ in table.values())
    by_family = " ".join(f"{family}:{r}/{m}" for family, (m, r) in sorted(table.items()))
    print(f"held out {right}/{n}: {by_family}", flush=True)


def train(o, device):
    m = Model(o.start, o.tokens, device)
    shares = {family: float(share) for family, _, share in (part.partition("=") for part in o.shares.split(",") if part)}
    material = data.Material(read_tensors(os.path.join(o.start, "sequences.safetensors")), shares)
    optimizer = Optimizer(m.weights)
    copy_share = multiprocessing.Value("d", o.copies)
    queues = [multiprocessing.Queue(4) for _ in range(o.workers)]
    workers = [
        multiprocessing.Process(target=produce, daemon=True, args=(
            material, o.tokens, o.seed, i, o.workers, sorted(set(m.shape.ratios)), m.shape.window, copy_share, q))
        for i, q in enumerate(queues)
    ]
    for worker in workers:
        worker.start()
    begin = last = scored = time.monotonic()
    seen, step, shown = 0, 0, 0
    sums = torch.zeros(6, device=device)  # loss, weight, right and all of copies, of episodes
    while True:
        fraction = (time.monotonic() - begin) / 60 / o.minutes if o.steps == 0 else step / o.steps
        if fraction >= 1:
            break
        copy_share.value = o.copies if fraction < o.copy_until else 0.1
        tokens, pos, doc, weight, copied, blocks = queues[step % o.workers].get(timeout=120)
        total = float(weight.sum())
        loss, right, loads = m.run(tokens, pos, doc, weight, blocks)
        (loss / max(total, 1.0)).backward()
        warm, decayed = min(1.0, (step + 1) / 100), min(1.0, (1 - fraction) / (1 - o.decay_from))
        rate = warm * max(decayed, o.rate_last)
        optimizer.step(o.muon_rate * rate, o.adamw_rate * rate)
        optimizer.balance(loads)
        if fraction >= o.round_from:
            m.weights.show_rounded()
        asked = m.to_device(weight[:-1] >= 1.0, torch.bool)
        copies = m.to_device(copied[:-1], torch.bool)
        sums += torch.stack((loss.detach(), torch.tensor(total, device=device), (right & asked & copies).sum(),
                             (asked & copies).sum(), (right & asked & ~copies).sum(), (asked & ~copies).sum()))
        seen += int((doc >= 0).sum())
        step += 1
        now = time.monotonic()
        if now - last > 10:
            s = sums.tolist()
            sums.zero_()
            if not np.isfinite(s[0]):
                sys.exit(f"step {step}: the loss is not finite")
            print(f"step {step:6}  {seen / 1e6:7.2f} M tokens  {100 * fraction:5.1f} %  loss {s[0] / s[1]:.4f}  "
                  f"copied {s[2] / max(s[3], 1):.4f}  written {s[4] / max(s[5], 1):.4f}  "
                  f"{(seen - shown) / (now - last):.0f} tokens/s", flush=True)
            last, shown = now, seen
        if now - scored > 60 * o.score_every:
            show_scores(m.score(material, 400))  # with gradients on: what is compiled serves both
            m.save(o.start, o.out)
            scored = time.monotonic()
    show_scores(m.score(material, 10000))
    m.save(o.start, o.out)
    for worker in workers:
        worker.terminate()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("start", help="folder written by `sable-train start`")
    p.add_argument("--out", help="folder for the weights")
    p.add_argument("--score", action="store_true", help="only score")
    p.add_argument("--minutes", type=float, default=20, help="length of the run by the clock")
    p.add_argument("--steps", type=int, default=0, help="length of the run in steps, instead")
    p.add_argument("--tokens", type=int, default=16384, help="of a step; a multiple of 16384 on a GPU")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2), help="processes that pack rows")
    p.add_argument("--muon-rate", type=float, default=9e-3)
    p.add_argument("--adamw-rate", type=float, default=3e-3)
    p.add_argument("--copies", type=float, default=0.5, help="share of copy problems at first; later 0.1")
    p.add_argument("--copy-until", type=float, default=0.3, help="part of the run with that share")
    p.add_argument("--decay-from", type=float, default=0.5, help="part of the run at full rates")
    p.add_argument("--rate-last", type=float, default=0.05, help="part of the rates that is left at the end")
    p.add_argument("--round-from", type=float, default=0.8, help="from where on matrices are as shipped")
    p.add_argument("--shares", default="", help="how often families are read: add=0.2,fix=0.2,...")
    p.add_argument("--score-every", type=float, default=2, help="minutes")
    o = p.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if o.score:
        m = Model(o.start, o.tokens, device)
        material = data.Material(read_tensors(os.path.join(o.start, "sequences.safetensors")))
        show_scores(m.score(material, 10000))
        return
    if not o.out:
        p.error("--out is missing")
    train(o, device)


if __name__ == "__main__":
    main()
