# SPDX-License-Identifier: LGPL-2.1-or-later
"""The llama architecture as a GGUF file means it, in torch, for training.

RMSNorm, interleaved RoPE (pairs 2i, 2i+1), grouped-query attention, SwiGLU, output
tied to the embedding.  Matrices are (rows out, columns in), as they are stored.
Parameters carry their GGUF names, with dots: training and export share one list.
"""
from dataclasses import dataclass

import torch
import torch.nn.functional as F

BLOCK = 128  # queries


@dataclass(frozen=True)
class Config:
    n_vocab: int
    d_model: int
    d_ff: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    context: int
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
    """Rotations as complex numbers of size 1: (length, 1, head_dim / 2)."""
    freqs = config.rope_base ** (-torch.arange(0, config.head_dim, 2).double() / config.head_dim)
    angles = torch.outer(torch.arange(length).double(), freqs)[:, None, :]
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rope(x, rotations):
    """x: (batch, time, heads, head_dim); rotates the pairs (2i, 2i+1)."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotations).flatten(-2)


def attention(config, q, k, v, mask):
    """q: (B, T, heads, D), k and v: (B, T, kv heads, D) -> (B, T, heads * D).

    Queries go by blocks, each with the keys up to its end: nearly half of the square is never computed."""
    batch, time = q.shape[:2]
    kv, group, dim = config.n_kv_heads, config.n_heads // config.n_kv_heads, config.head_dim
    fold = lambda x: x.transpose(1, 2).reshape(batch * kv, time, dim)
    q = (q * dim ** -0.5).view(batch, time, kv, group, dim).permute(0, 2, 3, 1, 4).reshape(batch * kv, group, time, dim)
    k, v, outs = fold(k).transpose(1, 2), fold(v), []
    for start in range(0, time, BLOCK):
        end = min(start + BLOCK, time)
        scores = torch.bmm(q[:, :, start:end].reshape(batch * kv, -1, dim), k[:, :, :end])
        probs = (scores.view(-1, group, end - start, end) + mask[..., start:end, :end]).softmax(-1)
        outs.append(torch.bmm(probs.view(batch * kv, -1, end), v[:, :end]).view(batch, kv, group, end - start, dim))
    return torch.cat(outs, 3).permute(0, 3, 1, 2, 4).reshape(batch, time, config.d_model)


class Gate(torch.autograd.Function):
    """silu(gate) * up; torch's own derivative of silu is slow in bf16."""

    @staticmethod
    def forward(ctx, gate, up):
        s = torch.sigmoid(gate)
        silu = gate * s
        ctx.save_for_backward(s, silu, up)
        return silu * up

    @staticmethod
    def backward(ctx, grad):
        s, silu, up = ctx.saved_tensors
        return grad * up * torch.addcmul(s, silu, 1 - s), grad * silu


def forward(config, params, tokens, tables):
    """tokens: (B, T) -> logits (B, T, n_vocab) in bf16.  tables: rope_table() and a mask of (B * kv heads or 1, 1, T, T).

    Matrix products, softmax and gates run in bf16, the residual stream and the norms in
    f32.  (Autocast does the same with three times the copies.)"""
    rotations, mask = tables
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
        q, k = half(rope(qk.view(batch, time, heads, -1), rotations)).split((config.n_heads, config.n_kv_heads), 2)
        h = attention(config, q, k, v.view(batch, time, config.n_kv_heads, -1), mask)
        x = x + F.linear(h, w('attn_output'))
        gate, up = F.linear(norm(x, f'blk.{i}.ffn_norm'), w('ffn_gate', 'ffn_up')).chunk(2, -1)
        x = x + F.linear(Gate.apply(gate, up), w('ffn_down'))
    return F.linear(norm(x, 'output_norm'), p['token_embd.weight'])
