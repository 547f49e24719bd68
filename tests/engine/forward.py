# SPDX-License-Identifier: LGPL-2.1-or-later
"""The forward passes a second time, in float64, from the papers: mathematics and encoders here, decoders in decoders.py.

A family is a function (w, h, tokens) -> hidden rows [n, d] after the last norm: w has the tensors by name, float64, rows as
the file has them (y = W x); h the metadata without the architecture's name in front.
"""
import math

import numpy as np


def rms_norm(x, gain, eps):
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + eps) * gain


def layer_norm(x, gain, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, -1, keepdims=True) + eps) * gain + bias


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def gelu_tanh(x):
    return x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def rope(x, base, interleaved, factors=None, frequencies=None, length=1.0):
    """Turns the pairs of x [n, heads, dim] by position * base^(-2i/dim) / factor (Su et al. 2021)."""
    n, _, dim = x.shape
    if frequencies is None:
        frequencies = base ** (-np.arange(0, dim, 2) / dim) / (1 if factors is None else factors)
    angles = np.arange(n)[:, None] * frequencies
    cos, sin = length * np.cos(angles)[:, None, :], length * np.sin(angles)[:, None, :]
    first, second = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :dim // 2], x[..., dim // 2:])
    turned = first * cos - second * sin, second * cos + first * sin
    if not interleaved:
        return np.concatenate(turned, -1)
    return np.stack(turned, -1).reshape(x.shape)


def attention(q, k, v, causal, scale=None, window=0, cap=0.0, sinks=None):
    """q [n, heads, dim], k, v [n, kv heads, dim] -> [n, heads * dim] (Vaswani et al. 2017, Ainslie et al. 2023).

    window: keys in reach, the own one included; cap: of the scores (Gemma 2); sinks [heads]: scores without a value.
    """
    n, heads, dim = q.shape
    group = heads // k.shape[1]
    k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
    scores = np.einsum('ihd,jhd->hij', q, k) * (1 / math.sqrt(dim) if scale is None else scale)
    if cap:
        scores = cap * np.tanh(scores / cap)
    if causal:
        age = np.arange(n)[:, None] - np.arange(n)[None, :]
        scores = np.where((age >= 0) & ((age < window) | (window == 0)), scores, -np.inf)
    p = np.exp(scores)
    total = p.sum(-1, keepdims=True) + (0 if sinks is None else np.exp(sinks)[:, None, None])
    return np.einsum('hij,jhd->ihd', p / total, v).reshape(n, -1)


def heads_of(x, n):
    return x.reshape(x.shape[0], n, -1)


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
