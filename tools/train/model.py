# SPDX-License-Identifier: LGPL-2.1-or-later
"""The llama architecture as a GGUF file means it, in torch, for training.

RMSNorm, interleaved RoPE (pairs 2i, 2i+1), grouped-query attention, SwiGLU, output
tied to the embedding.  Matrices are (rows out, columns in), as they are stored.
Parameters carry their GGUF names, with dots: training and export share one list.
"""
from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Config:
    n_vocab: int = 1024
    d_model: int = 128
    d_ff: int = 256
    n_layers: int = 5
    n_heads: int = 4
    n_kv_heads: int = 2
    context: int = 512
    rms_eps: float = 1e-5
    rope_base: float = 10000.0

    @property
    def head_dim(self):
        return self.d_model // self.n_heads

    @property
    def kv_width(self):
        return self.head_dim * self.n_kv_heads

    def shapes(self):
        """GGUF tensor name -> torch shape, in file order."""
        d, f, kv = self.d_model, self.d_ff, self.kv_width
        shapes = {'token_embd.weight': (self.n_vocab, d)}
        for i in range(self.n_layers):
            layer = {'attn_norm': (d,), 'attn_q': (d, d), 'attn_k': (kv, d), 'attn_v': (kv, d),
                     'attn_output': (d, d), 'ffn_norm': (d,), 'ffn_gate': (f, d),
                     'ffn_up': (f, d), 'ffn_down': (d, f)}
            shapes.update({f'blk.{i}.{name}.weight': shape for name, shape in layer.items()})
        shapes['output_norm.weight'] = (d,)
        return shapes


def new_parameters(config, generator):
    """Master weights, f32.  What writes into the residual stream starts smaller."""
    params = {}
    for name, shape in config.shapes().items():
        if len(shape) == 1:
            w = torch.ones(shape)
        else:
            std = 0.05 if name == 'token_embd.weight' else shape[1] ** -0.5
            if 'attn_output' in name or 'ffn_down' in name:
                std /= (2 * config.n_layers) ** 0.5
            w = torch.randn(shape, generator=generator) * std
        params[name] = w.requires_grad_()
    return params


def rope_table(config, length):
    """cos, sin: (length, 1, head_dim / 2)."""
    freqs = config.rope_base ** (-torch.arange(0, config.head_dim, 2).double() / config.head_dim)
    angles = torch.outer(torch.arange(length).double(), freqs)[:, None, :]
    return angles.cos().float(), angles.sin().float()


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rope(x, cos, sin):
    """x: (batch, time, heads, head_dim); rotates the pairs (2i, 2i+1)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


def attention(config, q, k, v, mask):
    """q: (B, T, heads, D), k and v: (B, T, kv heads, D) -> (B, T, heads * D)."""
    batch, time = q.shape[:2]
    kv, group, dim = config.n_kv_heads, config.n_heads // config.n_kv_heads, config.head_dim
    fold = lambda x: x.transpose(1, 2).reshape(batch * kv, time, dim)
    q = (q * dim ** -0.5).view(batch, time, kv, group, dim).permute(0, 2, 3, 1, 4)
    scores = torch.bmm(q.reshape(batch * kv, group * time, dim), fold(k).transpose(1, 2))
    probs = (scores.view(-1, group, time, time) + mask).softmax(-1)
    out = torch.bmm(probs.view(-1, group * time, time), fold(v))
    out = out.view(batch, kv, group, time, dim).permute(0, 3, 1, 2, 4)
    return out.reshape(batch, time, config.d_model)


def forward(config, params, tokens, tables):
    """tokens: (B, T) -> logits (B, T, n_vocab) in bf16.  tables: make_tables (config, T).

    Matrix products, softmax and gates run in bf16, the residual stream and the norms in
    f32.  (Autocast does the same with three times the copies.)"""
    cos, sin, mask = tables
    batch, time = tokens.shape
    half = lambda x: x.to(torch.bfloat16)
    p = {name: half(w) if w.dim() == 2 else w for name, w in params.items()}
    norm = lambda x, name: half(rms_norm(x, p[f'{name}.weight'], config.rms_eps))
    heads, widths = config.n_heads + config.n_kv_heads, (config.d_model + config.kv_width, config.kv_width)

    x = F.embedding(tokens, params['token_embd.weight'])       # (B, T, d)
    for i in range(config.n_layers):
        w = lambda *names: torch.cat([p[f'blk.{i}.{name}.weight'] for name in names])
        h = norm(x, f'blk.{i}.attn_norm')
        qk, v = F.linear(h, w('attn_q', 'attn_k', 'attn_v')).split(widths, -1)
        q, k = half(rope(qk.view(batch, time, heads, -1), cos, sin)).split((config.n_heads, config.n_kv_heads), 2)
        h = attention(config, q, k, v.view(batch, time, config.n_kv_heads, -1), mask)
        x = x + F.linear(h, w('attn_output'))
        gate, up = F.linear(norm(x, f'blk.{i}.ffn_norm'), w('ffn_gate', 'ffn_up')).chunk(2, -1)
        x = x + F.linear(F.silu(gate) * up, w('ffn_down'))
    return F.linear(norm(x, 'output_norm'), p['token_embd.weight'])


def make_tables(config, length):
    mask = torch.full((length, length), float('-inf')).triu(1)
    return (*rope_table(config, length), mask.to(torch.bfloat16))
