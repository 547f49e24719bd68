# SPDX-License-Identifier: LGPL-2.1-or-later
"""GGUF version 3: a vocabulary taken out of one file, a header for another.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""
import mmap
import struct

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
ALIGN = 32
UNUSED = 5  # type of a token that stands for nothing


class FormatError(Exception):
    pass


def pack_string(text):
    data = text.encode() if isinstance(text, str) else text
    return struct.pack('<Q', len(data)) + data


def pack_value(value):
    """Type number and value; a Python float becomes a float32, an int a uint32, in a list an int32."""
    if isinstance(value, bool):
        return struct.pack('<IB', BOOL, value)
    if isinstance(value, int):
        return struct.pack('<II', U32, value)
    if isinstance(value, float):
        return struct.pack('<If', F32, value)
    if isinstance(value, list):
        texts = isinstance(value[0], str)
        items = b''.join(map(pack_string, value)) if texts else struct.pack(f'<{len(value)}i', *value)
        return struct.pack('<IIQ', ARRAY, STRING if texts else I32, len(value)) + items
    return struct.pack('<I', STRING) + pack_string(value)


class Metadata:
    """The keys of a file as packed bytes, in their order."""

    def __init__(self, path):
        self.values = {}  # key -> type number and value, packed
        with open(path, 'rb') as f:
            try:
                self.data = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:
                raise FormatError(f'{path} is empty; a GGUF file is needed') from None
        try:
            self.read(path)
        except struct.error:
            raise FormatError(f'{path} ends within its metadata') from None

    def read(self, path):
        magic, version, _, n_keys = struct.unpack_from('<4sIQQ', self.data, 0)
        if magic != b'GGUF' or version not in (2, 3):
            raise FormatError(f'{path} is no GGUF file of version 2 or 3')
        at = 24
        for _ in range(n_keys):
            key, at = self.string(at)
            kind, = struct.unpack_from('<I', self.data, at)
            end = self.skip(kind, at + 4)
            self.values[key.decode('utf-8', 'replace')] = self.data[at:end]
            at = end
        self.end = at

    def tensors(self):
        """-> (name, dims, type number) of each."""
        at = self.end
        for _ in range(struct.unpack_from('<Q', self.data, 8)[0]):
            name, at = self.string(at)
            n_dims, = struct.unpack_from('<I', self.data, at)
            *dims, number, _ = struct.unpack_from(f'<{n_dims}QIQ', self.data, at + 4)
            at += 4 + 8 * n_dims + 12
            yield name.decode('utf-8', 'replace'), dims, number

    def string(self, at):
        n, = struct.unpack_from('<Q', self.data, at)
        if n > len(self.data) - at - 8:
            raise struct.error
        return self.data[at + 8:at + 8 + n], at + 8 + n

    def skip(self, kind, at):
        if kind == STRING:
            return self.string(at)[1]
        if kind == ARRAY:
            item, n = struct.unpack_from('<IQ', self.data, at)
            at += 12
            if item in SIZES:
                return at + n * SIZES[item]
            for _ in range(n):
                at = self.skip(item, at)
            return at
        if kind not in SIZES:
            raise FormatError(f'a metadata value has the type {kind}, which is not known')
        return at + SIZES[kind]


def array_head(packed):
    """-> type of the items, how many, offset of the first."""
    kind, item, n = struct.unpack_from('<IIQ', packed, 0)
    if kind != ARRAY:
        raise FormatError('a list of the vocabulary is no array')
    return item, n, 16


class Vocabulary:
    """The tokenizer.* keys of a file, padded to a size."""

    def __init__(self, path, size=0):
        values = Metadata(path).values
        self.values = {k: v for k, v in values.items() if k.startswith('tokenizer.')}
        if 'tokenizer.ggml.tokens' not in self.values:
            raise FormatError(f'{path} has no vocabulary (no tokenizer.ggml.tokens)')
        self.size = array_head(self.values['tokenizer.ggml.tokens'])[1]
        if size and size < self.size:
            raise FormatError(f'the vocabulary of {path} has {self.size} tokens; a --vocab-size of at least that is needed, not {size}')
        if size > self.size:
            self.pad(size)

    def pad(self, size):
        fill = {'tokenizer.ggml.tokens': lambda i: pack_string(f'[PAD{i}]'), 'tokenizer.ggml.scores': lambda i: struct.pack('<f', -1e4),
                'tokenizer.ggml.token_type': lambda i: struct.pack('<i', UNUSED)}
        for key, item in fill.items():
            if key not in self.values:
                continue
            kind, n, at = array_head(self.values[key])
            if n != self.size:
                raise FormatError(f'{key} has {n} items and the vocabulary {self.size}')
            self.values[key] = b''.join([struct.pack('<IIQ', ARRAY, kind, size), self.values[key][at:], *map(item, range(n, size))])
        self.size = size


def header(metadata, tensors):
    """@metadata: key -> packed; @tensors: (name, dims, type number, bytes). -> bytes up to the first tensor's data."""
    parts = [struct.pack('<4sIQQ', b'GGUF', 3, len(tensors), len(metadata))]
    parts += [pack_string(key) + value for key, value in metadata.items()]
    offset = 0
    for name, dims, number, size in tensors:
        parts.append(pack_string(name) + struct.pack(f'<I{len(dims)}QIQ', len(dims), *dims, number, offset))
        offset += size + -size % ALIGN
    data = b''.join(parts)
    return data + bytes(-len(data) % ALIGN)
