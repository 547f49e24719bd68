# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random blocks of every GGML tensor type.

The quants of a block are random bits; its scale is set so that the decoded elements have the standard deviation
asked for, and its sign is random, so that their mean is zero.  Nothing is rounded from floats, therefore a gibibyte
takes seconds.  Layouts: ggml-common.h of GGML.
"""
import math
import statistics

import numpy as np

# name -> number in the file, elements and bytes of a block, offset of the half-precision scale, standard deviation of
# the elements when that scale is 1, then, where the type has one, the offset of its minimum and minimum / scale.
TYPES = {
    'F32': (0, 1, 4), 'F16': (1, 1, 2), 'BF16': (30, 1, 2),
    'Q4_0': (2, 32, 18, 0, 4.64), 'Q4_1': (3, 32, 20, 0, 4.61, 2, -7.5),
    'Q5_0': (6, 32, 22, 0, 9.25), 'Q5_1': (7, 32, 24, 0, 9.23, 2, -15.5), 'Q8_0': (8, 32, 34, 0, 73.9),
    'Q2_K': (10, 256, 84, 80, 13.9, 82, 1.5), 'Q3_K': (11, 256, 110, 108, 43.4), 'Q4_K': (12, 256, 144, 0, 258, 2, 7.5),
    'Q5_K': (13, 256, 176, 0, 527, 2, 15.5), 'Q6_K': (14, 256, 210, 208, 1365),
    'IQ2_XXS': (16, 256, 66, 0, 57), 'IQ2_XS': (17, 256, 74, 0, 56), 'IQ2_S': (22, 256, 82, 0, 56),
    'IQ3_XXS': (18, 256, 98, 0, 135), 'IQ3_S': (21, 256, 110, 0, 140), 'IQ1_S': (19, 256, 50, 0, 7), 'IQ1_M': (29, 256, 56, None, 7),
    'IQ4_NL': (20, 32, 18, 0, 66), 'IQ4_XS': (23, 256, 136, 0, 1220), 'TQ1_0': (34, 256, 54, 52, 0.82), 'TQ2_0': (35, 256, 66, 64, 0.71),
    'MXFP4': (39, 32, 17, None, 2.93),
}
CHUNK = 4 << 20  # bytes made at a time


def type_number(name):
    return TYPES[name][0]


def block_elems(name):
    return TYPES[name][1]


def n_bytes(name, n_elems):
    return n_elems // TYPES[name][1] * TYPES[name][2]


class Quantiles:
    """65536 values of a normal distribution, equally likely: a random 16-bit number picks one."""

    def __init__(self):
        inverse = statistics.NormalDist().inv_cdf
        self.unit = np.array([inverse((i + 0.5) / 65536) for i in range(65536)], np.float32)
        self.tables = {}

    def table(self, dtype, mean, deviation):
        key = (dtype, mean, deviation)
        if key not in self.tables:
            values = (self.unit * deviation + mean).astype('<f4')
            self.tables[key] = {'F32': values, 'F16': values.astype('<f2'),
                                'BF16': ((values.view('<u4') + 0x8000) >> 16).astype('<u2')}[dtype]
        return self.tables[key]


QUANTILES = []


def floats(rng, dtype, n, mean, deviation):
    if not QUANTILES:
        QUANTILES.append(Quantiles())
    return QUANTILES[0].table(dtype, mean, deviation)[np.frombuffer(rng.bytes(2 * n), '<u2')]


def set_iq1_m_scale(blocks, d):
    """The four nibbles of the half stand on top of the four 16-bit scale words."""
    words = np.ascontiguousarray(blocks[:, 48:56]).view('<u2') & 0x0fff
    bits = d.view('<u2').reshape(-1, 1)
    blocks[:, 48:56] = (words | (bits >> np.arange(0, 16, 4, dtype='<u2') & 15) << 12).astype('<u2').view(np.uint8)


def canonical(dtype, blocks):
    """What no quantiser writes is mapped to what one does."""
    if dtype == 'Q8_0':
        q = blocks[:, 2:].view(np.int8)
        np.maximum(q, -127, out=q)
    elif dtype == 'TQ2_0':  # digits 0, 1, 2
        q = blocks[:, :64]
        q &= ~((q & 0x55) << 1)
    elif dtype == 'TQ1_0':  # 5 digits a byte, then 4 digits a byte
        every = np.arange(256)
        blocks[:, :48] = ((((every * 243) >> 8) * 256 + 242) // 243).astype(np.uint8)[blocks[:, :48]]
        blocks[:, 48:52] = ((((every * 81) >> 8) * 768 + 242) // 243).astype(np.uint8)[blocks[:, 48:52]]


def quantised(rng, dtype, n, deviation):
    _, _, size, at, unit, *minimum = TYPES[dtype]
    blocks = np.frombuffer(bytearray(rng.bytes(n * size)), np.uint8).reshape(n, size)
    canonical(dtype, blocks)
    if dtype == 'MXFP4':
        blocks[:, 0] = min(max(127 + round(math.log2(deviation / unit)), 1), 254)
        return blocks
    d = (deviation / unit) * rng.uniform(0.75, 1.25, n) * rng.choice((-1, 1), n)
    half = d.astype('<f2')
    if at is None:
        set_iq1_m_scale(blocks, half)
    else:
        blocks[:, at:at + 2] = half.view(np.uint8).reshape(n, 2)
    if minimum:
        blocks[:, minimum[0]:minimum[0] + 2] = (half.astype('<f4') * minimum[1]).astype('<f2').view(np.uint8).reshape(n, 2)
    return blocks


def chunks(rng, dtype, n_elems, mean, deviation):
    """Yields arrays that together are @n_elems elements of @dtype; a mean other than 0 is for floats only."""
    elems, size = TYPES[dtype][1:3]
    step = CHUNK // size
    for start in range(0, n_elems // elems, step):
        n = min(step, n_elems // elems - start)
        yield floats(rng, dtype, n, mean, deviation) if elems == 1 else quantised(rng, dtype, n, deviation)
