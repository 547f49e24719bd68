# SPDX-License-Identifier: LGPL-2.1-or-later
"""Conversations packed into rows of LENGTHS tokens, and the order of the batches.

Invariant: a conversation is never cut and never sees another one of its row (the mask is by its number), and batch n
of a stage depends on the seed alone, so that a resumed run goes on where the first one stopped.
"""
from array import array

import numpy as np

LENGTHS = (128, 192, 256, 320, 384, 512, 768, 1024)
SMALLEST = 40   # a gap at the end of a longer row that is worth filling
OPEN_ROWS = 24  # a conversation goes into the fullest of these where it fits


class Rows:
    """Rows of one length: tokens, whether the assistant says them, number of the conversation (from 1; 0 is padding)."""

    def __init__(self, length):
        self.length, self.rows, self.open = length, [], []

    def room(self, row):
        return self.length + 1 - len(row[0])

    def put(self, row, ids, says):
        row[2].extend([min(255, row[2][-1] + 1) if row[2] else 1] * len(ids))
        row[0].extend(ids)
        row[1].extend(says)

    def add(self, ids, says):
        fits = [row for row in self.open if len(ids) <= self.room(row)]
        if fits:
            row = min(fits, key=self.room)
        else:
            if len(self.open) == OPEN_ROWS:
                self.open.remove(min(self.open, key=self.room))
            row = (array('h'), array('B'), array('B'))
            self.open.append(row)
            self.rows.append(row)
        self.put(row, ids, says)

    def arrays(self, pad):
        tokens = np.full((len(self.rows), self.length + 1), pad, np.int16)
        says, talk = np.zeros(tokens.shape, np.uint8), np.zeros(tokens.shape, np.uint8)
        for i, (a, b, c) in enumerate(self.rows):
            tokens[i, :len(a)], says[i, :len(b)], talk[i, :len(c)] = a, b, c
        return tokens, says, talk


def pack(tokenizer, conversations, pad):
    """-> {length: (tokens, says, talk)}, tokens in all.  Short conversations fill the ends of the longer rows."""
    rows, short, n = {length: Rows(length) for length in LENGTHS}, [], 0
    for c in conversations:
        ids, says = tokenizer.conversation(c['messages'])
        length = next((x for x in LENGTHS if len(ids) <= x + 1), None)
        if length is None:
            continue
        n += len(ids)
        if length == LENGTHS[0]:
            short.append((array('h', ids), array('B', says)))
        else:
            rows[length].add(ids, says)
    gaps = [(r, row) for r in rows.values() for row in r.rows]
    for ids, says in short:
        while gaps and gaps[-1][0].room(gaps[-1][1]) < SMALLEST:
            gaps.pop()
        if gaps and len(ids) <= gaps[-1][0].room(gaps[-1][1]):
            gaps[-1][0].put(gaps[-1][1], ids, says)
        else:
            rows[LENGTHS[0]].add(ids, says)
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
