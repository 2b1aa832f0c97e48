"""Rows of packed sequences: episodes (most with other names) and copy problems, as
training/dataset.cpp makes them. Each sequence begins at a multiple of 128."""
import numpy as np

from model import BLOCK

LONGEST_SHARE = 0.1  # of the long copy problems: up to 11,000 tokens, longer than any in C++


class Material:
    """What `sable-train start` wrote into sequences.safetensors."""

    def __init__(self, arrays, shares=None):
        """shares: family to how often its episodes are read, as a share of the whole; the rest of the
        families share what is left by their numbers."""
        self.training = Sequences(arrays, "")
        self.chance = chances(self.training.family, shares or {})
        self.held_out = Sequences(arrays, "held_out.")
        begin, user, assistant, think_end, end, newline = arrays["copy.structure"]
        self.begin, self.user, self.newline = begin, user, newline
        self.answer_head = [assistant, think_end]
        self.end = end
        self.words = arrays["copy.words"]
        self.cases = [
            tuple(arrays[f"names.{case}.{part}"] for part in ("words", "first", "next"))
            for case in ("lower", "capital", "upper")
        ]
        self.case_of = {int(w): case for case in self.cases for w in case[0]}
        self.is_name = np.zeros(1 << 16, bool)
        self.is_name[list(self.case_of)] = True


def chances(families, shares):
    """Cumulative: how likely each episode is to be read."""
    families = np.array(families)
    chance = np.ones(len(families))
    for family, share in shares.items():
        chance[families == family] = share / max((families == family).sum(), 1)
    rest = ~np.isin(families, list(shares))
    chance[rest] = (1 - sum(shares.values())) / max(rest.sum(), 1)
    return np.cumsum(chance / chance.sum())


class Sequences:
    def __init__(self, arrays, prefix):
        self.tokens = arrays[prefix + "tokens"].astype(np.int32)
        self.by_model = arrays[prefix + "by_model"].astype(np.int8)
        self.begin = arrays[prefix + "begin"]
        names = bytes(arrays[prefix + "families"]).decode().split()
        self.family = [names[i] for i in arrays[prefix + "family"]]

    def __len__(self):
        return len(self.begin) - 1

    def __getitem__(self, i):
        at = slice(self.begin[i], self.begin[i + 1])
        return self.tokens[at], self.by_model[at]


def with_other_names(material, tokens, by_model, rng):
    """Each word of a name becomes another, or pieces that make none, the same wherever it stands."""
    lengths = np.ones(len(tokens), np.int64)
    changes = []
    for word in np.unique(tokens[material.is_name[tokens]]):
        words, first, following = material.case_of[int(word)]
        kind = rng.random()
        if kind < 0.2:
            continue
        if kind < 0.4:
            pieces = words[rng.integers(len(words))][None]
        else:
            pieces = np.concatenate(
                (first[rng.integers(len(first))][None], following[rng.integers(len(following), size=rng.integers(4))])
            )
        at = np.flatnonzero(tokens == word)
        lengths[at] = len(pieces)
        changes.append((at, pieces))
    begin = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    out = np.repeat(tokens, lengths)
    for at, pieces in changes:
        out[begin[at][:, None] + np.arange(len(pieces))] = pieces
    return out, np.repeat(by_model, lengths)


class ProblemWriter:
    def __init__(self, material, rng):
        self.m, self.rng = material, rng
        self.tokens, self.by_model = [], []
        self.add([material.begin], 0)

    def add(self, tokens, by_model):
        self.tokens.append(np.asarray(tokens, np.int32))
        self.by_model.append(np.full(len(tokens), by_model, np.int8))

    def words(self, n):
        return self.m.words[self.rng.integers(len(self.m.words), size=n)]

    def answer(self, run):
        self.add(self.m.answer_head, 0)
        self.add(run, 1)
        self.add([self.m.end], 1)

    def repeat(self):
        run = self.words(self.rng.integers(4, 41))
        self.add([self.m.user], 0)
        self.add(run, 0)
        self.answer(run)

    def look_up(self, n_lines, n_questions):
        self.add([self.m.user], 0)
        lines = [self.words(n) for n in self.rng.integers(4, 13, size=n_lines)]
        for line in lines:
            self.add(line, 0)
            self.add([self.m.newline], 0)
        for i in range(n_questions):
            if i > 0:
                self.add([self.m.user], 0)
            line = lines[self.rng.integers(n_lines)]
            n_given = self.rng.integers(1, 3)
            self.add(line[:n_given], 0)
            self.answer(line[n_given:])

    def take(self):
        return np.concatenate(self.tokens), np.concatenate(self.by_model)


def copy_problem(material, rng, long_share):
    writer = ProblemWriter(material, rng)
    kind = rng.random()
    if kind < long_share:
        lines = rng.integers(221, 1200) if kind < LONGEST_SHARE * long_share else rng.integers(49, 221)
        writer.look_up(lines, lines // 25)
        return writer.take()
    for _ in range(5):
        if rng.random() < 0.4:
            writer.repeat()
        else:
            writer.look_up(rng.integers(2, 9) if rng.random() < 0.5 else rng.integers(9, 49), 1)
    return writer.take()


class Row:
    """One packed row of n tokens. `doc` of padding is -1 and its predictions weigh nothing."""

    def __init__(self, n):
        self.tokens = np.zeros(n, np.int32)
        self.pos = np.tile(np.arange(BLOCK), n // BLOCK).astype(np.int32)
        self.doc = -np.ones(n, np.int32)
        self.weight = np.zeros(n, np.float32)
        self.copied = np.zeros(n, bool)
        self.first_block = np.arange(n // BLOCK)  # of the sequence that each block belongs to
        self.at = 0
        self.n_docs = 0

    def add(self, tokens, weight, copied=False):
        """False when it does not fit any more."""
        n = len(tokens)
        if self.at + n > len(self.tokens):
            return False
        part = slice(self.at, self.at + n)
        blocks = slice(self.at // BLOCK, (self.at + n + BLOCK - 1) // BLOCK)
        self.tokens[part] = tokens
        end = blocks.stop * BLOCK
        self.pos[self.at : end] = np.arange(end - self.at)
        self.doc[part] = self.n_docs
        self.weight[part] = weight
        self.copied[part] = copied
        self.first_block[blocks] = blocks.start
        self.at = end
        self.n_docs += 1
        return True


def weights_of(material, tokens, by_model, others):
    """Of the prediction of the next token at each place."""
    weight = np.zeros(len(tokens), np.float32)
    talking = np.maximum.accumulate(tokens == material.user)[:-1]
    weight[:-1] = np.where(by_model[1:] != 0, 1.0, np.where(talking, others, 0.0))
    return weight


def training_row(material, n, seed, step, copy_share, renamed=0.75, long_copies=0.3, longest=3072):
    """The row of a step: a function of seed, step and copy_share alone."""
    rng = np.random.default_rng((seed, step))
    row = Row(n)
    while True:
        copied = rng.random() < copy_share
        if copied:
            tokens, by_model = copy_problem(material, rng, long_copies)
        else:
            place = np.searchsorted(material.chance, rng.random())
            tokens, by_model = material.training[min(place, len(material.training) - 1)]
            if rng.random() < renamed:
                tokens, by_model = with_other_names(material, tokens, by_model, rng)
        if not copied and len(tokens) > longest:
            continue
        if not row.add(tokens, weights_of(material, tokens, by_model, 0.1), copied):
            return row


def key_blocks(row, ratio, window):
    """Which blocks of keys each block of queries may see: (counts [Q], indices [Q, K], K)."""
    n_blocks = len(row.first_block)
    n_entry_blocks = 0 if ratio == 0 else (n_blocks * BLOCK // ratio + BLOCK - 1) // BLOCK
    q = np.arange(n_blocks)
    k = np.arange(n_blocks)[None]
    seen = (k <= q[:, None]) & (k >= np.maximum(row.first_block, q - window // BLOCK)[:, None])
    if n_entry_blocks:
        e = np.arange(n_entry_blocks)[None]
        first = row.first_block * BLOCK // ratio // BLOCK
        last = np.maximum((q + 1) * BLOCK // ratio - 1, 0) // BLOCK
        seen = np.concatenate((seen, (e >= first[:, None]) & (e <= last[:, None])), 1)
    counts = seen.sum(1).astype(np.int32)
    indices = np.argsort(~seen, 1, kind="stable").astype(np.int32)
    return counts, indices
