# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a GGUF file of train.py in numpy: a check of the file that shares no code with the engine."""
import argparse

import numpy as np

import bpe
import gguf


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


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('model')
    p.add_argument('prompt')
    p.add_argument('--tokens', type=int, default=200)
    p.add_argument('--temperature', type=float, default=0.0, help='0 = greedy')
    p.add_argument('--seed', type=int, default=1)
    args = p.parse_args()
    model = gguf.Reader(args.model)
    letters = {c: b for b, c in bpe.byte_alphabet().items()}
    tokens, special = model.metadata['tokenizer.ggml.tokens'], model.metadata['tokenizer.ggml.bos_token_id']
    raw = lambda text: bytes(letters[c] for c in text)
    encoder = bpe.Encoder([tuple(map(raw, line.split(' '))) for line in model.metadata['tokenizer.ggml.merges']])
    ids, rng = [special, *encoder.encode(args.prompt)], np.random.default_rng(args.seed)
    for _ in range(args.tokens):
        logits = forward(model, np.array(ids)).astype(np.float64)
        if args.temperature > 0:
            probs = np.exp((logits - logits.max()) / args.temperature)
            token = int(rng.choice(len(probs), p=probs / probs.sum()))
        else:
            token = int(logits.argmax())
        if token >= special:
            break
        ids.append(token)
    print(b''.join(raw(tokens[i]) for i in ids[1:]).decode(errors='replace'))


if __name__ == '__main__':
    main()
