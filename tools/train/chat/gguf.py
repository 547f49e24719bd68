# SPDX-License-Identifier: LGPL-2.1-or-later
"""GGUF version 3: what the trainer writes and the tests read back.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""
import struct

import numpy as np

from modelgen.gguf import ALIGN, ARRAY, BOOL, F32, I32, STRING, U32, header, pack_value

TYPE_F32, TYPE_Q8_0 = 0, 8


def quantise(w):
    """float32 (rows, 32 n) -> Q8_0: blocks of a half d and 32 int8, w = d * q."""
    blocks = w.reshape(-1, 32)
    d = np.abs(blocks).max(1) / 127
    half = d.astype('<f2')
    inverse = np.divide(1, d, out=np.zeros_like(d), where=d > 0)
    q = np.rint(blocks * inverse[:, None]).astype(np.int8)
    return np.concatenate([half.view(np.uint8).reshape(-1, 2), q.view(np.uint8)], 1).tobytes()


def write(path, metadata, tensors, matrices='q8_0'):
    """tensors: name -> float32 array; matrices become Q8_0 (or stay F32 with @matrices "f32"), vectors stay F32."""
    small = lambda w: w.ndim == 2 and matrices == 'q8_0'
    raw = {name: quantise(w) if small(w) else w.astype('<f4').tobytes() for name, w in tensors.items()}
    infos = [(name, w.shape[::-1], TYPE_Q8_0 if small(w) else TYPE_F32, len(raw[name])) for name, w in tensors.items()]
    with open(path, 'wb') as f:
        f.write(header({key: pack_value(value) for key, value in metadata.items()}, infos))
        for data in raw.values():
            f.write(data + bytes(-len(data) % ALIGN))


class Reader:
    def __init__(self, path):
        with open(path, 'rb') as f:
            self.data, self.at = f.read(), 8
        n_tensors, n_keys = self.take('<QQ')
        self.metadata = {self.string(): self.value(self.take('<I')[0]) for _ in range(n_keys)}
        infos = [self.info() for _ in range(n_tensors)]
        start = -(-self.at // ALIGN) * ALIGN
        self.tensors = {name: self.tensor(shape, kind, start + offset) for name, shape, kind, offset in infos}

    def take(self, fmt):
        values = struct.unpack_from(fmt, self.data, self.at)
        self.at += struct.calcsize(fmt)
        return values

    def string(self):
        n, = self.take('<Q')
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == ARRAY:
            item, n = self.take('<IQ')
            return [self.value(item) for _ in range(n)]
        return self.string() if kind == STRING else self.take({U32: '<I', I32: '<i', F32: '<f', BOOL: '<?'}[kind])[0]

    def info(self):
        name, (n,) = self.string(), self.take('<I')
        shape = self.take(f'<{n}Q')[::-1]
        return (name, shape, *self.take('<IQ'))

    def tensor(self, shape, kind, offset):
        n = int(np.prod(shape))
        if kind == TYPE_F32:
            return np.frombuffer(self.data, '<f4', n, offset).reshape(shape)
        blocks = np.frombuffer(self.data, np.uint8, n // 32 * 34, offset).reshape(-1, 34)
        d = blocks[:, :2].copy().view('<f2').astype(np.float32)
        return (d * blocks[:, 2:].view(np.int8)).reshape(shape)
