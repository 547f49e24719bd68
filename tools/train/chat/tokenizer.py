# SPDX-License-Identifier: LGPL-2.1-or-later
"""Byte-level BPE with chat marks, its words cut as the pre-tokenizer "qwen2" of GGUF cuts them: every digit alone.

Ids: 256 bytes, the merges, then the marks.  Controls (<|im_start|>...) are found only where the frame puts them; marks
like <tool_call> are found in every text, as the engine does it for user-defined tokens.
"""
import argparse
import json
import re

from . import bpe
from .talk import CONTROLS, END_OF_TEXT, IM_END, IM_START, MARKS

LETTER, OTHER = r'[^\W\d_]', r'(?:[^\s\w]|_)'  # of Python's \w: letters, numbers and "_"
WORDS = re.compile(rf"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|(?:[^\r\n\w]|_)?{LETTER}+|\d| ?{OTHER}+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = [*MARKS, *CONTROLS]
MARK = re.compile('(' + '|'.join(map(re.escape, MARKS)) + ')')
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # token types of GGUF


def joins(left, right):
    """May two pieces become one?  What stands before a name does not: "Otto", ' Otto' and '"Otto' then end in the same
    tokens, and copying a name from one place to another is copying tokens."""
    if left == b' ':
        return not right[:1].isupper()
    return left[-1:].isalpha() or left[-1] >= 0x80 or not right[:1].isalpha()


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.ranks = {pair: i for i, pair in enumerate(self.merges)}
        self.pieces = [bytes([b]) for b in range(256)] + [left + right for left, right in self.merges]
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}
        self.special = {text: len(self.pieces) + i for i, text in enumerate(SPECIAL)}
        self.n = len(self.pieces) + len(SPECIAL)
        self.cache = {}

    def word(self, word):
        if word not in self.cache:
            s = [bytes([b]) for b in word.encode()]
            while len(s) > 1:
                rank, j = min((self.ranks.get(pair, 1 << 30), j) for j, pair in enumerate(zip(s, s[1:])))
                if rank == 1 << 30:
                    break
                s[j:j + 2] = [s[j] + s[j + 1]]
            self.cache[word] = [self.ids[p] for p in s]
        return self.cache[word]

    def encode(self, text):
        """Text of people: marks count, controls do not."""
        ids = []
        for part in MARK.split(text):
            ids += [self.special[part]] if part in MARKS else [i for w in WORDS.findall(part) for i in self.word(w)]
        return ids

    def decode(self, ids):
        names = {i: text.encode() for text, i in self.special.items()}
        return b''.join(names[i] if i in names else self.pieces[i] for i in ids).decode(errors='replace')

    def conversation(self, messages):
        """-> ids, and for each whether the assistant says it."""
        ids, says = [], []
        for m in messages:
            said = self.encode(m['content']) + [self.special[IM_END]]
            frame = [self.special[IM_START], *self.encode(f'{m["role"]}\n')]
            newline = self.encode('\n')
            ids += [*frame, *said, *newline]
            says += [0] * len(frame) + [int(m['role'] == 'assistant')] * len(said) + [0] * len(newline)
        return ids, says

    def save(self, path):
        with open(path, 'w', encoding='utf-8') as f:
            json.dump({'merges': [[left.hex(), right.hex()] for left, right in self.merges]}, f)

    @classmethod
    def load(cls, path):
        with open(path, encoding='utf-8') as f:
            return cls([(bytes.fromhex(left), bytes.fromhex(right)) for left, right in json.load(f)['merges']])

    def metadata(self):
        letters = bpe.byte_alphabet()
        text = lambda piece: ''.join(letters[b] for b in piece)
        return {
            'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'qwen2', 'tokenizer.ggml.tokens': [*map(text, self.pieces), *SPECIAL],
            'tokenizer.ggml.token_type': [NORMAL] * len(self.pieces) + [USER_DEFINED] * len(MARKS) + [CONTROL] * len(CONTROLS),
            'tokenizer.ggml.merges': [f'{text(left)} {text(right)}' for left, right in self.merges],
            'tokenizer.ggml.bos_token_id': self.special[END_OF_TEXT], 'tokenizer.ggml.eos_token_id': self.special[IM_END],
            'tokenizer.ggml.padding_token_id': self.special[END_OF_TEXT], 'tokenizer.ggml.add_bos_token': False,
        }


def train(conversations, n_tokens):
    """@conversations: records of the corpus.  -> Tokenizer of at most @n_tokens."""
    texts = [part for c in conversations for m in c['messages'] for part in MARK.split(m['content']) if part not in MARKS]
    return Tokenizer(bpe.train(texts, n_tokens - 256 - len(SPECIAL), WORDS, joins))


def read(path, limit=None):
    with open(path, encoding='utf-8') as f:
        for i, line in enumerate(f):
            if limit is not None and i >= limit:
                return
            yield json.loads(line)


def main(arguments=None):
    p = argparse.ArgumentParser(prog='chat-model tokenizer', description=__doc__.splitlines()[0])
    p.add_argument('corpus')
    p.add_argument('output')
    p.add_argument('--tokens', type=int, default=2560)
    p.add_argument('--conversations', type=int, default=30000, help='so many of the corpus')
    args = p.parse_args(arguments)
    tokenizer = train(read(args.corpus, args.conversations), args.tokens)
    tokenizer.save(args.output)
    print(f'{tokenizer.n} tokens')
