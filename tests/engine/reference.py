# SPDX-License-Identifier: LGPL-2.1-or-later
"""The engine's embeddings, of encoders and of every decoder family, against the forward passes of forward.py and decoders.py.

reference.py [MODEL.gguf...] tests these files instead of random ones (F32 or F16 tensors).
"""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print('numpy is not there')
    sys.exit(77)

from decoders import FAMILIES as DECODERS
from forward import bert, nomic_bert

SIMPLE = {0: 'B', 1: 'b', 2: 'H', 3: 'h', 4: 'I', 5: 'i', 6: 'f', 7: '?', 10: 'Q', 11: 'q', 12: 'd'}
STRING, ARRAY = 8, 9


# ---- the file ----

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, kind):
        value, = struct.unpack_from('<' + kind, self.data, self.at)
        self.at += struct.calcsize(kind)
        return value

    def string(self):
        n = self.number('Q')
        self.at += n
        return bytes(self.data[self.at - n:self.at])

    def value(self, kind):
        if kind == STRING:
            return self.string().decode('utf-8', 'replace')
        if kind == ARRAY:
            kind, n = self.number('I'), self.number('Q')
            return [self.value(kind) for _ in range(n)]
        return self.number(SIMPLE[kind])


def read_gguf(path):
    """-> architecture, hyperparameters, tensors (F32 and F16 ones)."""
    r = Reader(open(path, 'rb').read())
    assert r.data[:4] == b'GGUF'
    r.at = 8
    n_tensors, n_keys = r.number('Q'), r.number('Q')
    meta = {}
    for _ in range(n_keys):
        key = r.string().decode()
        meta[key] = r.value(r.number('I'))
    table = []
    for _ in range(n_tensors):
        name, n_dims = r.string().decode(), r.number('I')
        dims = [r.number('Q') for _ in range(n_dims)]
        table.append((name, dims, r.number('I'), r.number('Q')))
    align = meta.get('general.alignment', 32)
    begin = r.at + -r.at % align
    arch = meta['general.architecture']
    w = {}
    for name, dims, kind, offset in table:
        if kind in (0, 1):
            values = np.frombuffer(r.data, ('<f4', '<f2')[kind], math.prod(dims), begin + offset)
            w[name] = values.astype(np.float64).reshape(dims[::-1])
    return arch, {k[len(arch) + 1:]: v for k, v in meta.items() if k.startswith(arch + '.')}, w


# ---- the engine against them ----

FAMILIES = DECODERS | {'bert': bert, 'nomic-bert': nomic_bert}
POOLINGS = {'mean': lambda rows: rows.mean(0), 'cls': lambda rows: rows[0], 'last': lambda rows: rows[-1]}
TYPES = {None: None, 0: None, 1: 'mean', 2: 'cls', 3: 'last'}
TEXTS = ['Once upon a time there was a little girl.', 'x', 'The dog and the cat were friends; ' * 6, 'Größe, 大きさ!', 'a b c d e f g h']
DEVICES = os.environ.get('LLM_TEST_DEVICE', 'cpu:scalar cpu').split()
LONG = 'The dog and the cat were friends; ' * 60  # more than a step of a decoder
TOLERANCE = 1e-5  # of the largest number of a row


def run_embed(model, device, pooling, dimensions, texts):
    done = subprocess.run([os.environ['LLM_RUN_EMBED'], model, device, pooling, str(dimensions), *texts], stdout=subprocess.PIPE, check=True, text=True,
                          timeout=600)
    answer = json.loads(done.stdout)
    return answer['tokens'], np.array(answer['rows'])


def compare(label, rows, want, tolerance=TOLERANCE):
    worst = max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(rows, want))
    assert len(rows) == len(want) and worst <= tolerance, f'{label}: {worst:g} off; {tolerance:g} is allowed'
    return worst


def check_model(path):
    arch, h, w = read_gguf(path)
    texts = [LONG if arch in ('llama', 'bert') and t == TEXTS[2] else t for t in TEXTS]
    default = TYPES.get(h.get('pooling_type')) or ('mean' if h.get('attention.causal') is False else 'last')
    worst, hidden = 0, None
    for device in DEVICES:
        for pooling in ('default',) if device.startswith('vulkan') else ('mean', 'cls', 'last', 'default'):  # pooling is not the device's work
            tokens, rows = run_embed(path, device, pooling, 0, texts)
            hidden = hidden or [FAMILIES[arch](w, h, t) for t in tokens]
            want = [POOLINGS[default if pooling == 'default' else pooling](x) for x in hidden]
            worst = max(worst, compare(f'{arch} {device} {pooling}', rows, want))
        if device.startswith('vulkan') and arch != 'bert':  # a process of it compiles its shaders anew
            continue
        _, few = run_embed(path, device, 'mean', 7, texts)
        assert few.shape == (len(texts), 7)
        compare(f'{arch} {device} cut', few, [x.mean(0)[:7] for x in hidden])
        for i in (1, 2):
            _, alone = run_embed(path, device, 'default', 0, [texts[i]])
            assert (alone[0] == rows[i]).all(), f'{arch} {device}: input {i} alone is another row'
    return worst


MODELS = (
    ('llama', ['--kv-heads', '2', '--rope-factors']), ('mixtral', ['--experts', '5', '--experts-used', '2']), ('qwen2', ['--kv-heads', '2']),
    ('qwen3', ['--kv-heads', '1']), ('qwen3moe', ['--experts', '7', '--experts-used', '3', '--expert-ff', '48']), ('smollm3', ['--layers', '5']),
    ('granite', []), ('gemma', ['--kv-heads', '1']), ('gemma2', ['--window', '9']), ('gemma3', ['--window', '9', '--layers', '7']),
    ('phi3', []), ('phi3', ['--rope-factors', '--window', '11']), ('gpt-oss', ['--experts', '6', '--experts-used', '4', '--window', '9']),
    ('bert', ['--pooling', '2']), ('nomic-bert', ['--pooling', '1']),
)


def main(paths):
    with tempfile.TemporaryDirectory() as folder:
        if not paths:
            for i, (family, options) in enumerate(MODELS):
                paths.append(os.path.join(folder, f'{i}-{family}.gguf'))
                subprocess.run([sys.executable, os.environ['LLM_GENERATE_MODEL'], '--family', family, '--type', 'F32', '--quiet', '--width', '128', '--ff', '192',
                                '--heads', '4', '--head-dim', '32', *options, paths[-1]], check=True)
        for path in paths:
            print(f'ok {os.path.basename(path)}: {check_model(path):.2g} off')


if __name__ == '__main__':
    main(sys.argv[1:])
