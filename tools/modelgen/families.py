# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a model of each family consists of: metadata keys, tensors, and how large their elements are.

Names and keys are those of the files that llama.cpp writes and reads.  dims[0] is the length of a row.
"""
import dataclasses
import math

MATRIX, VECTOR, GAIN, KEPT = 'matrix', 'vector', 'gain', 'kept'  # KEPT: a matrix that always is F32


@dataclasses.dataclass
class Shape:
    layers: int
    width: int
    ff: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int
    rope_base: float
    eps: float
    tied: bool
    window: int = 0
    experts: int = 0
    experts_used: int = 0
    expert_ff: int = 0
    rope_factors: bool = False
    pooling: int = 1
    vocab: int = 0


@dataclasses.dataclass
class Tensor:
    name: str
    dims: tuple
    kind: str
    role: str = ''
    layer: int = 0
    mean: float = 0.0
    deviation: float = 1.0
    values: object = None  # (list) instead of random ones


PRESETS = {  # option names; family is the one that has this shape
    'tiny': dict(family='llama', layers=2, width=256, ff=512, heads=8, kv_heads=4, head_dim=32, context=1024, rope_base=10000.0, tied=False),
    '0.5b': dict(family='qwen2', layers=24, width=896, ff=4864, heads=14, kv_heads=2, head_dim=64, context=32768, rope_base=1e6, eps=1e-6,
                 tied=True, vocab=151936),
    '1b': dict(family='llama', layers=16, width=2048, ff=8192, heads=32, kv_heads=8, head_dim=64, context=131072, rope_base=5e5, tied=True,
               vocab=128256, rope_factors=True),
}
# architecture, then what differs from the preset unless the user says so
FAMILIES = {
    'llama': ('llama', {}),
    'mistral': ('llama', dict(rope_base=1e6, tied=False, rope_factors=False)),
    'mixtral': ('llama', dict(rope_base=1e6, tied=False, rope_factors=False, experts=8, experts_used=2)),
    'qwen2': ('qwen2', dict(rope_base=1e6, eps=1e-6)),
    'qwen3': ('qwen3', dict(rope_base=1e6, eps=1e-6)),
    'qwen3moe': ('qwen3moe', dict(rope_base=1e6, eps=1e-6, experts=16, experts_used=4)),
    'smollm3': ('smollm3', dict(rope_base=5e6, eps=1e-6, tied=True)),
    'granite': ('granite', dict(tied=True)),
    'gemma': ('gemma', dict(eps=1e-6, tied=True)),
    'gemma2': ('gemma2', dict(eps=1e-6, tied=True, window=4096)),
    'gemma3': ('gemma3', dict(rope_base=1e6, eps=1e-6, tied=True, window=1024)),
    'phi3': ('phi3', dict(tied=False)),
    'gpt-oss': ('gpt-oss', dict(rope_base=150000.0, tied=False, experts=8, experts_used=4, window=128)),
    'bert': ('bert', dict(eps=1e-12, tied=True, pooling=2)),
    'nomic-bert': ('nomic-bert', dict(rope_base=1000.0, eps=1e-12, tied=True, pooling=1)),
}
ENCODERS = ('bert', 'nomic-bert')


def check(family, s):
    """-> what is wrong with the shape, or None."""
    for name in ('layers', 'width', 'ff', 'heads', 'kv_heads', 'head_dim', 'context'):
        if getattr(s, name) < 1:
            return f'--{name.replace("_", "-")} is {getattr(s, name)}; at least 1 is needed'
    if s.heads % s.kv_heads:
        return f'--kv-heads {s.kv_heads} does not divide the {s.heads} heads'
    if s.head_dim % 2:
        return f'--head-dim is {s.head_dim}; an even number is needed for rotary positions'
    if family in ENCODERS and (s.heads * s.head_dim != s.width or s.kv_heads != s.heads):
        return f'{family} needs --width = --heads x --head-dim and --kv-heads = --heads'
    if s.experts and not 1 <= s.experts_used <= s.experts:
        return f'--experts-used is {s.experts_used}; 1 to {s.experts} is needed'
    if family in ('mixtral', 'qwen3moe', 'gpt-oss') and not s.experts:
        return f'{family} needs --experts'
    if not (s.rope_base > 0 and s.eps > 0):
        return '--rope-base and --eps must be above 0'
    return None


def metadata(family, s):
    """key -> value, without the architecture's name in front."""
    encoder = family in ENCODERS
    keys = {
        'block_count': s.layers, 'context_length': s.context, 'embedding_length': s.width, 'feed_forward_length': s.ff,
        'attention.head_count': s.heads, 'vocab_size': s.vocab,
        'attention.layer_norm_epsilon' if encoder else 'attention.layer_norm_rms_epsilon': s.eps,
    }
    if family != 'bert':
        keys['rope.freq_base'] = s.rope_base
    if encoder:
        return keys | {'attention.causal': False, 'pooling_type': s.pooling, 'token_type_count': 2}
    keys |= {'attention.head_count_kv': s.kv_heads, 'rope.dimension_count': s.head_dim}
    if s.head_dim * s.heads != s.width or family in ('qwen3', 'qwen3moe', 'gemma', 'gemma2', 'gemma3', 'gpt-oss'):
        keys |= {'attention.key_length': s.head_dim, 'attention.value_length': s.head_dim}
    if s.experts:
        keys |= {'expert_count': s.experts, 'expert_used_count': s.experts_used, 'expert_feed_forward_length': s.expert_ff}
    if s.window or family == 'phi3':
        keys['attention.sliding_window'] = s.window
    if family == 'gemma2':
        keys |= {'attn_logit_softcapping': 50.0, 'final_logit_softcapping': 30.0}
    if family == 'granite':
        keys |= {'embedding_scale': 12.0, 'residual_scale': 0.22, 'attention.scale': 1 / s.head_dim, 'logit_scale': 8.0}
    if family == 'phi3':
        keys['rope.scaling.original_context_length'] = s.context // 4 if s.rope_factors else s.context
        if s.rope_factors:
            keys['rope.scaling.attn_factor'] = math.sqrt(1 + math.log(4) / math.log(s.context // 4))
    return keys


def matrix(name, role, layer, row, rows, *more, kind=MATRIX):
    return Tensor(name, (row, rows, *more), kind, role, layer, 0.0, 1 / math.sqrt(row))


def gain(name, n, layer=0):
    return Tensor(name, (n,), GAIN, layer=layer, mean=1.0, deviation=0.1)


def vector(name, *dims, deviation=0.02):
    return Tensor(name, dims, VECTOR, deviation=deviation)


def llama3_factors(s):
    """Llama 3.1's: long waves are stretched 8 times (32 in 3.2), short ones are not, with a smooth step between."""
    factor, low, high, trained = 32.0, 1.0, 4.0, 8192.0
    values = []
    for i in range(s.head_dim // 2):
        wave = 2 * math.pi * s.rope_base ** (2 * i / s.head_dim)
        smooth = min(max((trained / wave - low) / (high - low), 0), 1)
        values.append(1 / ((1 - smooth) / factor + smooth))
    return Tensor('rope_freqs.weight', (s.head_dim // 2,), VECTOR, values=values)


def longrope_factors(s):
    """Two sets: within the context of the first training, and beyond it; the slow pairs are stretched most."""
    n = s.head_dim // 2
    yield Tensor('rope_factors_long.weight', (n,), VECTOR, values=[1 + 31 * (i / n) ** 2 for i in range(n)])
    yield Tensor('rope_factors_short.weight', (n,), VECTOR, values=[1 + 0.2 * i / n for i in range(n)])


def attention(family, s, l):
    b, d, q, k = f'blk.{l}.', s.width, s.heads * s.head_dim, s.kv_heads * s.head_dim
    if family in ('phi3', 'nomic-bert'):
        yield matrix(b + 'attn_qkv.weight', 'attn_qkv', l, d, q + 2 * k)
    else:
        for name, rows in (('attn_q', q), ('attn_k', k), ('attn_v', k)):
            yield matrix(f'{b}{name}.weight', name, l, d, rows)
            if family in ('qwen2', 'gpt-oss', 'bert'):
                yield vector(f'{b}{name}.bias', rows)
    if family in ('qwen3', 'qwen3moe', 'gemma3'):
        yield gain(b + 'attn_q_norm.weight', s.head_dim)
        yield gain(b + 'attn_k_norm.weight', s.head_dim)
    yield matrix(b + 'attn_output.weight', 'attn_output', l, q, d)
    if family in ('gpt-oss', 'bert'):
        yield vector(b + 'attn_output.bias', d)
    if family == 'gpt-oss':
        yield vector(b + 'attn_sinks.weight', s.heads, deviation=1.0)


def experts(family, s, l):
    b, d, ff, n = f'blk.{l}.', s.width, s.expert_ff, s.experts
    yield matrix(b + 'ffn_gate_inp.weight', 'ffn_gate_inp', l, d, n, kind=KEPT)
    for name, row, rows in (('ffn_gate_exps', d, ff), ('ffn_up_exps', d, ff), ('ffn_down_exps', ff, d)):
        yield matrix(f'{b}{name}.weight', name, l, row, rows, n)
        if family == 'gpt-oss':
            yield vector(f'{b}{name}.bias', rows, n)
    if family == 'gpt-oss':
        yield vector(b + 'ffn_gate_inp.bias', n)


def feed_forward(family, s, l):
    b, d, ff = f'blk.{l}.', s.width, s.ff
    if family == 'phi3':
        yield matrix(b + 'ffn_up.weight', 'ffn_up', l, d, 2 * ff)
    else:
        if family != 'bert':
            yield matrix(b + 'ffn_gate.weight', 'ffn_gate', l, d, ff)
        yield matrix(b + 'ffn_up.weight', 'ffn_up', l, d, ff)
    yield matrix(b + 'ffn_down.weight', 'ffn_down', l, ff, d)
    if family == 'bert':
        yield vector(b + 'ffn_up.bias', ff)
        yield vector(b + 'ffn_down.bias', d)


def decoder_layer(family, s, l):
    b, d = f'blk.{l}.', s.width
    yield gain(b + 'attn_norm.weight', d)
    yield from attention(family, s, l)
    if family in ('gemma2', 'gemma3', 'gpt-oss'):
        yield gain(b + 'post_attention_norm.weight', d)
    if family != 'gpt-oss':
        yield gain(b + 'ffn_norm.weight', d)
    yield from (experts if s.experts else feed_forward)(family, s, l)
    if family in ('gemma2', 'gemma3'):
        yield gain(b + 'post_ffw_norm.weight', d)


def layer_norm(name, n):
    yield gain(name + '.weight', n)
    yield vector(name + '.bias', n)


def encoder(family, s):
    d = s.width
    yield matrix('token_embd.weight', 'token_embd', 0, d, s.vocab)
    yield matrix('token_types.weight', 'token_types', 0, d, 2, kind=KEPT)
    if family == 'bert':
        yield matrix('position_embd.weight', 'position_embd', 0, d, s.context, kind=KEPT)
    yield from layer_norm('token_embd_norm', d)
    for l in range(s.layers):
        yield from attention(family, s, l)
        yield from layer_norm(f'blk.{l}.attn_output_norm', d)
        yield from feed_forward(family, s, l)
        yield from layer_norm(f'blk.{l}.layer_output_norm', d)


def tensors(family, s):
    if family in ENCODERS:
        yield from encoder(family, s)
        return
    yield matrix('token_embd.weight', 'token_embd', 0, s.width, s.vocab)
    yield gain('output_norm.weight', s.width)
    if not s.tied:
        yield matrix('output.weight', 'output', 0, s.width, s.vocab)
    if s.rope_factors and family == 'phi3':
        yield from longrope_factors(s)
    elif s.rope_factors:
        yield llama3_factors(s)
    for l in range(s.layers):
        yield from decoder_layer(family, s, l)
