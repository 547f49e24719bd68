# SPDX-License-Identifier: LGPL-2.1-or-later
"""The forward passes a second time, in float64, from the papers; and the engine's embeddings against them.

reference.py [MODEL.gguf...] tests these files instead of random ones (F32 or F16 tensors).

A family is a function (w, h, tokens) -> hidden rows [n, d] after the last norm: w has the tensors by name, float64, rows as
the file has them (y = W x); h the metadata without the architecture's name in front.
"""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

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


# ---- mathematics ----

def rms_norm(x, gain, eps):
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + eps) * gain


def layer_norm(x, gain, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, -1, keepdims=True) + eps) * gain + bias


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def rope(x, base, interleaved, factors=None):
    """Turns the pairs of x [n, heads, dim] by position * base^(-2i/dim) / factor (Su et al. 2021)."""
    n, _, dim = x.shape
    angles = np.arange(n)[:, None] * base ** (-np.arange(0, dim, 2) / dim) / (1 if factors is None else factors)
    cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    first, second = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :dim // 2], x[..., dim // 2:])
    turned = first * cos - second * sin, second * cos + first * sin
    if not interleaved:
        return np.concatenate(turned, -1)
    return np.stack(turned, -1).reshape(x.shape)


def attention(q, k, v, causal):
    """q [n, heads, dim], k, v [n, kv heads, dim] -> [n, heads * dim] (Vaswani et al. 2017, Ainslie et al. 2023)."""
    n, heads, dim = q.shape
    group = heads // k.shape[1]
    k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
    scores = np.einsum('ihd,jhd->hij', q, k) / math.sqrt(dim)
    if causal:
        scores = np.where(np.tril(np.ones((n, n), bool)), scores, -np.inf)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum('hij,jhd->ihd', p / p.sum(-1, keepdims=True), v).reshape(n, -1)


def heads_of(x, n):
    return x.reshape(x.shape[0], n, -1)


# ---- families ----

def decoder(w, h, tokens, interleaved, qk_norms):
    eps, base = h['attention.layer_norm_rms_epsilon'], h.get('rope.freq_base', 10000.0)
    n_heads, n_kv = h['attention.head_count'], h.get('attention.head_count_kv', h['attention.head_count'])
    factors = w.get('rope_freqs.weight')
    x = w['token_embd.weight'][tokens]
    for layer in range(h['block_count']):
        def part(name):
            return w[f'blk.{layer}.{name}.weight']
        a = rms_norm(x, part('attn_norm'), eps)
        q, k, v = (heads_of(a @ part('attn_' + m).T, n) for m, n in (('q', n_heads), ('k', n_kv), ('v', n_kv)))
        if qk_norms:
            q, k = rms_norm(q, part('attn_q_norm'), eps), rms_norm(k, part('attn_k_norm'), eps)
        q, k = rope(q, base, interleaved, factors), rope(k, base, interleaved, factors)
        x = x + attention(q, k, v, True) @ part('attn_output').T
        f = rms_norm(x, part('ffn_norm'), eps)
        x = x + (silu(f @ part('ffn_gate').T) * (f @ part('ffn_up').T)) @ part('ffn_down').T
    return rms_norm(x, w['output_norm.weight'], eps)


def llama(w, h, tokens):
    """Touvron et al. 2023: pairs (2i, 2i + 1), as the files' rows are permuted."""
    return decoder(w, h, tokens, True, False)


def qwen3(w, h, tokens):
    """Yang et al. 2025: pairs (i, i + dim/2); every head of the queries and keys is normalised."""
    return decoder(w, h, tokens, False, True)


def encoder(w, h, tokens, embed, mix, feed_forward):
    """Norms after the sums (Devlin et al. 2019)."""
    eps = h['attention.layer_norm_epsilon']

    def norm(x, name):
        return layer_norm(x, w[name + '.weight'], w[name + '.bias'], eps)

    x = w['token_embd.weight'][tokens]
    if 'token_types.weight' in w:
        x = x + w['token_types.weight'][0]
    x = norm(embed(x), 'token_embd_norm')
    for layer in range(h['block_count']):
        b = f'blk.{layer}.'
        x = norm(x + mix(b, x), b + 'attn_output_norm')
        x = norm(x + feed_forward(b, x), b + 'layer_output_norm')
    return x


def bert(w, h, tokens):
    def linear(x, name):
        return x @ w[name + '.weight'].T + w[name + '.bias']

    def mix(b, x):
        q, k, v = (heads_of(linear(x, f'{b}attn_{m}'), h['attention.head_count']) for m in 'qkv')
        return linear(attention(q, k, v, False), b + 'attn_output')

    return encoder(w, h, tokens, lambda x: x + w['position_embd.weight'][:len(tokens)], mix,
                   lambda b, x: linear(gelu(linear(x, b + 'ffn_up')), b + 'ffn_down'))


def nomic_bert(w, h, tokens):
    """Nussbaum et al. 2024: rotary positions, SwiGLU, no biases."""
    def mix(b, x):
        q, k, v = (heads_of(m, h['attention.head_count']) for m in np.split(x @ w[b + 'attn_qkv.weight'].T, 3, -1))
        base = h.get('rope.freq_base', 10000.0)
        return attention(rope(q, base, False), rope(k, base, False), v, False) @ w[b + 'attn_output.weight'].T

    def feed_forward(b, x):
        gate, up, down = (w[f'{b}ffn_{m}.weight'].T for m in ('gate', 'up', 'down'))
        return (silu(x @ gate) * (x @ up)) @ down

    return encoder(w, h, tokens, lambda x: x, mix, feed_forward)


FAMILIES = {'llama': llama, 'qwen3': qwen3, 'bert': bert, 'nomic-bert': nomic_bert}
POOLINGS = {'mean': lambda rows: rows.mean(0), 'cls': lambda rows: rows[0], 'last': lambda rows: rows[-1]}
TYPES = {None: None, 0: None, 1: 'mean', 2: 'cls', 3: 'last'}


# ---- the engine against them ----

TEXTS = ['Once upon a time there was a little girl.', 'x', 'The dog and the cat were friends; ' * 60, 'Größe, 大きさ!', 'a b c d e f g h']
DEVICES = os.environ.get('LLM_TEST_DEVICE', 'cpu:scalar cpu').split()
TOLERANCE = 1e-5  # of the largest number of a row


def run_embed(model, device, pooling, dimensions, texts):
    done = subprocess.run([os.environ['LLM_RUN_EMBED'], model, device, pooling, str(dimensions), *texts], stdout=subprocess.PIPE, check=True, text=True,
                          timeout=120)
    answer = json.loads(done.stdout)
    return answer['tokens'], np.array(answer['rows'])


def compare(label, rows, want, tolerance=TOLERANCE):
    worst = max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(rows, want))
    assert len(rows) == len(want) and worst <= tolerance, f'{label}: {worst:g} off; {tolerance:g} is allowed'
    return worst


def check_model(path):
    arch, h, w = read_gguf(path)
    default = TYPES.get(h.get('pooling_type')) or ('mean' if h.get('attention.causal') is False else 'last')
    worst, hidden = 0, None
    for device in DEVICES:
        for pooling in ('default',) if device.startswith('vulkan') else ('mean', 'cls', 'last', 'default'):  # pooling is not the device's work
            tokens, rows = run_embed(path, device, pooling, 0, TEXTS)
            hidden = hidden or [FAMILIES[arch](w, h, t) for t in tokens]
            want = [POOLINGS[default if pooling == 'default' else pooling](x) for x in hidden]
            worst = max(worst, compare(f'{arch} {device} {pooling}', rows, want))
        _, few = run_embed(path, device, 'mean', 7, TEXTS)
        assert few.shape == (len(TEXTS), 7)
        compare(f'{arch} {device} cut', few, [x.mean(0)[:7] for x in hidden])
        for i in (1, 2):
            _, alone = run_embed(path, device, 'default', 0, [TEXTS[i]])
            assert (alone[0] == rows[i]).all(), f'{arch} {device}: input {i} alone is another row'
    return worst


def main(paths):
    with tempfile.TemporaryDirectory() as folder:
        if not paths:
            for family, options in (('llama', ['--kv-heads', '2', '--rope-factors']), ('qwen3', ['--kv-heads', '1']), ('bert', ['--pooling', '2']), ('nomic-bert', ['--pooling', '1'])):
                paths.append(os.path.join(folder, family + '.gguf'))
                subprocess.run([sys.executable, os.environ['LLM_GENERATE_MODEL'], '--family', family, '--type', 'F32', '--quiet', '--width', '128', '--ff', '192',
                                '--heads', '4', '--head-dim', '32', *options, paths[-1]], check=True)
        for path in paths:
            print(f'ok {os.path.basename(path)}: {check_model(path):.2g} off')


if __name__ == '__main__':
    try:
        import numpy as np
    except ImportError:
        print('numpy is not there')
        sys.exit(77)
    main(sys.argv[1:])
