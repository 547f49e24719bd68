# SPDX-License-Identifier: LGPL-2.1-or-later
"""Computes a GGUF file in numpy: a check that shares no code with the trainer's network nor with the engine."""
import numpy as np


def rms_norm(x, g, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * g


def rope(x, base):
    """x: (time, heads, dim), pairs (2i, 2i + 1)."""
    time, _, dim = x.shape
    angles = np.outer(np.arange(time), base ** (-np.arange(0, dim, 2) / dim))[:, None, :]
    even, odd = x[..., 0::2], x[..., 1::2]
    return np.stack([even * np.cos(angles) - odd * np.sin(angles), even * np.sin(angles) + odd * np.cos(angles)], -1).reshape(x.shape)


def forward(model, ids):
    """-> logits of the last position."""
    m, t = model.metadata, model.tensors
    heads, kv, eps, base = (m['llama.attention.' + k] if k != 'base' else m['llama.rope.freq_base']
                            for k in ('head_count', 'head_count_kv', 'layer_norm_rms_epsilon', 'base'))
    x = t['token_embd.weight'][ids]
    n, d = x.shape
    dim = d // heads
    mask = np.triu(np.full((n, n), -np.inf), 1)
    for i in range(m['llama.block_count']):
        w = lambda name: t[f'blk.{i}.{name}.weight']
        h = rms_norm(x, w('attn_norm'), eps)
        q = rope((h @ w('attn_q').T).reshape(n, heads, dim), base)
        k = rope((h @ w('attn_k').T).reshape(n, kv, dim), base).repeat(heads // kv, 1)
        v = (h @ w('attn_v').T).reshape(n, kv, dim).repeat(heads // kv, 1)
        s = np.einsum('qhd,khd->hqk', q, k) / dim ** 0.5 + mask
        s = np.exp(s - s.max(-1, keepdims=True))
        a = np.einsum('hqk,khd->qhd', s / s.sum(-1, keepdims=True), v).reshape(n, d)
        x = x + a @ w('attn_output').T
        h = rms_norm(x, w('ffn_norm'), eps)
        gate = h @ w('ffn_gate').T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w('ffn_up').T)) @ w('ffn_down').T
    return rms_norm(x[-1], t['output_norm.weight'], eps) @ t['token_embd.weight'].T
