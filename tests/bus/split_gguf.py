# SPDX-License-Identifier: LGPL-2.1-or-later
"""Splits a GGUF file as the usual tools do: split.no (from 0), split.count and split.tensors.count in every part, the metadata in the first."""
import struct

SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, U16, I32 = 8, 9, 2, 5
ALIGNMENT = 32


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, code):
        return struct.unpack('<' + code, self.take(struct.calcsize(code)))[0]

    def string(self):
        return self.take(self.number('Q'))

    def skip_value(self, kind):
        if kind == STRING:
            self.string()
        elif kind == ARRAY:
            kind, n = self.number('I'), self.number('Q')
            for _ in range(n if kind == STRING else 0):
                self.string()
            self.take(0 if kind == STRING else n * SCALARS[kind])
        else:
            self.take(SCALARS[kind])


def text(s):
    return struct.pack('<Q', len(s)) + s


def aligned(data):
    return data + bytes(-len(data) % ALIGNMENT)


def read(data):
    """(keys as bytes, how many, [(name, dimensions and type as bytes, the tensor's bytes)])"""
    r = Reader(data)
    assert r.take(4) == b'GGUF' and r.number('I') in (2, 3)
    n_tensors, n_keys = r.number('Q'), r.number('Q')
    start = r.at
    for _ in range(n_keys):
        assert r.string() != b'general.alignment'
        r.skip_value(r.number('I'))
    keys, table = data[start:r.at], []
    for _ in range(n_tensors):
        name = r.string()
        shape = r.at
        r.take(8 * r.number('I') + 4)
        table.append([name, data[shape:r.at], r.number('Q')])
    begin = r.at + -r.at % ALIGNMENT
    ends = sorted(offset for _, _, offset in table) + [len(data) - begin]
    return keys, n_keys, [(name, shape, data[begin + at:begin + ends[ends.index(at) + 1]]) for name, shape, at in table]


def split(data, n, **changes):
    """The @n parts of @data; @changes: total, count and so on as they are to be written."""
    keys, n_keys, tensors = read(data)
    parts = []
    for i in range(n):
        own = tensors[i * len(tensors) // n:(i + 1) * len(tensors) // n]
        head = keys if i == 0 else b''
        for key, kind, code, value in (('split.no', U16, 'H', i), ('split.count', U16, 'H', changes.get('count', n)),
                                       ('split.tensors.count', I32, 'i', changes.get('total', len(tensors)))):
            head += text(key.encode()) + struct.pack('<I' + code, kind, value)
        body, table = b'', b''
        for name, shape, values in own:
            body = aligned(body)
            table += text(name) + shape + struct.pack('<Q', len(body))
            body += values
        start = struct.pack('<4sIQQ', b'GGUF', 3, len(own), (n_keys if i == 0 else 0) + 3)
        parts.append(aligned(start + head + table) + body)
    return parts
