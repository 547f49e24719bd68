# SPDX-License-Identifier: LGPL-2.1-or-later
"""Byte-level BPE (Sennrich et al. 2016; GPT-2's byte alphabet): training."""
import collections


def byte_alphabet():
    """byte -> the printable character that stands for it in token texts."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def train(texts, n_merges, words, allowed=lambda left, right: True):
    """-> [(left bytes, right bytes)], most frequent pair first (ties: the smaller pair).

    @words: regular expression of the pre-tokenizer.  @allowed: whether two pieces may become one.
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
