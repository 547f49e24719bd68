# SPDX-License-Identifier: LGPL-2.1-or-later
"""Byte-level BPE (Sennrich et al. 2016; GPT-2's byte alphabet): training and encoding.

Text is cut into words as the "llama-bpe" pre-tokenizer of GGUF does it, for ASCII text.
"""
import collections
import re

WORDS = re.compile(r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]{1,3}"
                   r"| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_alphabet():
    """byte -> the printable character that stands for it in token texts."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def train(texts, n_merges, words=WORDS, allowed=lambda left, right: True):
    """-> [(left bytes, right bytes)], most frequent pair first (ties: the smaller pair).

    @words: the pre-tokenizer.  @allowed: whether two pieces may become one.
    """
    words = collections.Counter(w for text in texts for w in words.findall(text))
    symbols = [([bytes([b]) for b in w.encode()], n) for w, n in words.items()]
    pairs, where = collections.Counter(), collections.defaultdict(set)

    def count(i):
        s, n = symbols[i]
        for pair in zip(s, s[1:]):
            if allowed(*pair):
                pairs[pair] += n
                where[pair].add(i)

    for i in range(len(symbols)):
        count(i)
    merges = []
    while len(merges) < n_merges and pairs:
        best = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(best)
        for i in where.pop(best):
            s, n = symbols[i]
            for pair in zip(s, s[1:]):
                if pair in pairs:
                    pairs[pair] -= n
            j = 0
            while j + 1 < len(s):
                if (s[j], s[j + 1]) == best:
                    s[j:j + 2] = [s[j] + s[j + 1]]
                j += 1
            count(i)
        pairs.pop(best)
    return merges


class Encoder:
    """Token ids: 256 bytes first, then the merges, then the special tokens."""

    def __init__(self, merges):
        self.pieces = [bytes([b]) for b in range(256)] + [left + right for left, right in merges]
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}
        self.ranks = {pair: i for i, pair in enumerate(merges)}
        self.cache = {}

    def word(self, word):
        if word not in self.cache:
            s = [bytes([b]) for b in word.encode()]
            whole = self.ids.get(word.encode())
            while whole is None and len(s) > 1:
                rank, j = min((self.ranks.get(pair, 1 << 30), j) for j, pair in enumerate(zip(s, s[1:])))
                if rank == 1 << 30:
                    break
                s[j:j + 2] = [s[j] + s[j + 1]]
            self.cache[word] = [whole] if whole is not None else [self.ids[p] for p in s]
        return self.cache[word]

    def encode(self, text):
        return [i for w in WORDS.findall(text) for i in self.word(w)]
