# SPDX-License-Identifier: LGPL-2.1-or-later
"""The decoder families in float64: what each does otherwise than Llama is an argument of one function."""
import math

import numpy as np

from forward import attention, gelu_tanh, heads_of, rms_norm, rope, silu


def yarn(h, dim, base):
    """Peng et al. 2023, with the bounds rounded outwards: frequencies and the length of the turned pairs."""
    factor, context = h['rope.scaling.factor'], h['rope.scaling.original_context_length']

    def pair(turns):
        return dim * math.log(context / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(0, math.floor(pair(32))), min(dim - 1, math.ceil(pair(1)))
    own = base ** (-np.arange(0, dim, 2) / dim)
    part = np.clip((np.arange(dim // 2) - low) / max(high - low, 0.001), 0, 1)
    return own / factor * part + own * (1 - part), 1 + 0.1 * math.log(factor)


def rotation(w, h, dim, base):
    """-> keywords of rope()."""
    kind = h.get('rope.scaling.type')
    if kind == 'yarn':
        frequencies, length = yarn(h, dim, base)
        return dict(frequencies=frequencies, length=length)
    if 'rope_factors_long.weight' in w:
        beyond = h['context_length'] > h['rope.scaling.original_context_length']
        return dict(factors=w[f'rope_factors_{"long" if beyond else "short"}.weight'], length=h.get('rope.scaling.attn_factor', 1.0))
    factors = w.get('rope_freqs.weight')
    return dict(factors=h.get('rope.scaling.factor', 1.0) if factors is None and kind == 'linear' else factors)


def clamped_swiglu(gate, up):
    """OpenAI 2025."""
    gate, up = np.minimum(gate, 7), np.clip(up, -7, 7)
    return gate / (1 + np.exp(-1.702 * gate)) * (up + 1)


def feed_forward(w, h, b, x, act):
    """Dense, or of the best experts of each row (Shazeer et al. 2017), weighted by the softmax among them."""
    def linear(x, name, expert=None):
        weight, bias = w[f'{b}{name}.weight'], w.get(f'{b}{name}.bias', 0)
        if expert is not None:
            weight, bias = weight[expert], bias[expert] if np.ndim(bias) else 0
        return x @ weight.T + bias

    if not h.get('expert_count'):
        if b + 'ffn_gate.weight' not in w:  # Phi 3: both in one
            return linear(act(*np.split(linear(x, 'ffn_up'), 2, -1)), 'ffn_down')
        return linear(act(linear(x, 'ffn_gate'), linear(x, 'ffn_up')), 'ffn_down')
    out = np.zeros_like(x)
    for row, scores in enumerate(linear(x, 'ffn_gate_inp')):
        best = np.argsort(-scores, kind='stable')[:h['expert_used_count']]
        shares = np.exp(scores[best] - scores[best].max())
        for expert, share in zip(best, shares / shares.sum()):
            hidden = act(linear(x[row], 'ffn_gate_exps', expert), linear(x[row], 'ffn_up_exps', expert))
            out[row] += share * linear(hidden, 'ffn_down_exps', expert)
    return out


def decoder(w, h, tokens, interleaved, act=None, embedding_scale=1.0, residual=1.0, qk_norms=False, post_norms=False, period=0, local_base=None,
            caps=False, scale=None, sinks=False, ffn_norm='ffn_norm', no_rope=lambda layer: False):
    eps, base = h['attention.layer_norm_rms_epsilon'], h.get('rope.freq_base', 10000.0)
    n_heads, n_kv = h['attention.head_count'], h.get('attention.head_count_kv', h['attention.head_count'])
    act = act or (lambda gate, up: silu(gate) * up)
    x = w['token_embd.weight'][tokens] * embedding_scale
    for layer in range(h['block_count']):
        b = f'blk.{layer}.'

        def norm(x, name):
            return rms_norm(x, w[f'{b}{name}.weight'], eps)

        def linear(x, name):
            return x @ w[f'{b}{name}.weight'].T + w.get(f'{b}{name}.bias', 0)

        windowed = period and h.get('attention.sliding_window', 0) and (period == 1 or (layer + 1) % period)
        a = norm(x, 'attn_norm')
        if b + 'attn_qkv.weight' in w:
            fused, dim = linear(a, 'attn_qkv'), h['embedding_length'] // n_heads
            q, k, v = np.split(fused, [n_heads * dim, (n_heads + n_kv) * dim], -1)
        else:
            q, k, v = (linear(a, 'attn_' + m) for m in 'qkv')
        q, k, v = heads_of(q, n_heads), heads_of(k, n_kv), heads_of(v, n_kv)
        if qk_norms:
            q, k = norm(q, 'attn_q_norm'), norm(k, 'attn_k_norm')
        if not no_rope(layer):
            turn = {} if windowed and local_base else rotation(w, h, q.shape[-1], base)
            q, k = (rope(m, local_base if windowed and local_base else base, interleaved, **turn) for m in (q, k))
        a = attention(q, k, v, True, scale, h['attention.sliding_window'] if windowed else 0, h.get('attn_logit_softcapping', 0.0) if caps else 0.0,
                      w[b + 'attn_sinks.weight'] if sinks else None)
        a = linear(a, 'attn_output')
        x = x + residual * (norm(a, 'post_attention_norm') if post_norms else a)
        f = feed_forward(w, h, b, norm(x, ffn_norm), act)
        x = x + residual * (norm(f, 'post_ffw_norm') if post_norms else f)
    return rms_norm(x, w['output_norm.weight'], eps)


def gemma(w, h, tokens, **more):
    return decoder(w, h, tokens, False, lambda gate, up: gelu_tanh(gate) * up, math.sqrt(h['embedding_length']), **more)


FAMILIES = {
    # pairs (2i, 2i + 1), as the files' rows are permuted; the others pair (i, i + dim/2)
    'llama': lambda w, h, t: decoder(w, h, t, True),
    'smollm3': lambda w, h, t: decoder(w, h, t, True, no_rope=lambda layer: layer % 4 == 3),
    'granite': lambda w, h, t: decoder(w, h, t, True, embedding_scale=h['embedding_scale'], residual=h['residual_scale'], scale=h['attention.scale']),
    'qwen2': lambda w, h, t: decoder(w, h, t, False),
    'qwen3': lambda w, h, t: decoder(w, h, t, False, qk_norms=True),
    'qwen3moe': lambda w, h, t: decoder(w, h, t, False, qk_norms=True),
    'gemma': gemma,
    'gemma2': lambda w, h, t: gemma(w, h, t, post_norms=True, period=2, caps=True),
    'gemma3': lambda w, h, t: gemma(w, h, t, post_norms=True, period=6, qk_norms=True, local_base=10000.0),
    'phi3': lambda w, h, t: decoder(w, h, t, False, period=1),
    'gpt-oss': lambda w, h, t: decoder(w, h, t, False, clamped_swiglu, sinks=True, period=2, ffn_norm='post_attention_norm'),
}
