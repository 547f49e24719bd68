# SPDX-License-Identifier: LGPL-2.1-or-later
"""Conversations packed into rows of 256, 512 or 1,024 tokens, and the order of the batches.

Invariant: a conversation is never cut and never sees another one of its row (the mask is by its number), and batch n
depends on the seed alone, so that a resumed run goes on where the first one stopped.
"""
import numpy as np

LENGTHS = (256, 512, 1024)
OPEN_ROWS = 24  # a conversation goes into the fullest of these where it fits


class Rows:
    """Rows of one length: tokens, whether the assistant says them, number of the conversation (from 1; 0 is padding)."""

    def __init__(self, length):
        self.length, self.rows, self.open = length, [], []

    def add(self, ids, says):
        room = self.length + 1
        fits = [row for row in self.open if len(row[0]) + len(ids) <= room]
        if fits:
            row = max(fits, key=lambda row: len(row[0]))
        else:
            if len(self.open) == OPEN_ROWS:
                self.open.remove(max(self.open, key=lambda row: len(row[0])))
            row = ([], [], [])
            self.open.append(row)
            self.rows.append(row)
        row[2].extend([row[2][-1] + 1 if row[2] else 1] * len(ids))
        row[0].extend(ids)
        row[1].extend(says)

    def arrays(self, pad):
        tokens = np.full((len(self.rows), self.length + 1), pad, np.int16)
        says, talk = np.zeros(tokens.shape, np.uint8), np.zeros(tokens.shape, np.uint8)
        for i, (a, b, c) in enumerate(self.rows):
            tokens[i, :len(a)], says[i, :len(b)], talk[i, :len(c)] = a, b, np.minimum(c, 255)
        return tokens, says, talk


def pack(tokenizer, conversations, pad):
    """-> {length: (tokens, says, talk)}, tokens in all."""
    rows, n = {length: Rows(length) for length in LENGTHS}, 0
    for c in conversations:
        ids, says = tokenizer.conversation(c['messages'])
        length = next((x for x in LENGTHS if len(ids) <= x + 1), None)
        if length is not None:
            rows[length].add(ids, says)
            n += len(ids)
    return {length: r.arrays(pad) for length, r in rows.items() if r.rows}, n


class Batches:
    """Batch @step: tokens (B, T + 1) of rows of one length, about @tokens of them."""

    def __init__(self, packed, tokens, seed):
        self.packed, self.tokens, self.seed, self.epoch, self.order = packed, tokens, seed, None, []

    def shuffle(self, epoch):
        r = np.random.RandomState(self.seed * 1000 + epoch)
        self.order = []
        for length, (tokens, _, _) in self.packed.items():
            size = max(1, self.tokens // length)
            rows = r.permutation(len(tokens))
            self.order += [(length, rows[i:i + size]) for i in range(0, max(1, len(rows) - size + 1), size)]
        self.order = [self.order[i] for i in r.permutation(len(self.order))]
        self.epoch = epoch

    def __getitem__(self, step):
        if self.epoch is None:
            self.shuffle(0)
        per_epoch = len(self.order)
        if step // per_epoch != self.epoch:
            self.shuffle(step // per_epoch)
        length, rows = self.order[step % per_epoch]
        return tuple(a[rows] for a in self.packed[length])
