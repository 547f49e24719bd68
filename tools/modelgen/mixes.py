# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which tensor gets which type: the usual rules of llama.cpp's quantiser.

A name of a type gives it to every matrix; a mix gives better ones to the tensors that lose most.  A row that is no
whole number of blocks falls back to a type of smaller blocks.
"""
from .blocks import TYPES, block_elems

# The number of general.file_type.
FILE_TYPES = {
    'F32': 0, 'F16': 1, 'Q4_0': 2, 'Q4_1': 3, 'Q8_0': 7, 'Q5_0': 8, 'Q5_1': 9, 'Q2_K': 10, 'Q3_K': 11, 'Q3_K_M': 12, 'Q4_K': 14, 'Q4_K_S': 14,
    'Q4_K_M': 15, 'Q5_K': 16, 'Q5_K_S': 16, 'Q5_K_M': 17, 'Q6_K': 18, 'IQ2_XXS': 19, 'IQ2_XS': 20, 'IQ3_XXS': 23, 'IQ1_S': 24, 'IQ4_NL': 25, 'IQ3_S': 26,
    'IQ2_S': 28, 'IQ4_XS': 30, 'IQ1_M': 31, 'BF16': 32, 'TQ1_0': 36, 'TQ2_0': 37, 'MXFP4': 38, 'MXFP4_MOE': 38,
}
MIXES = {  # type of most matrices
    'Q3_K_M': 'Q3_K', 'Q4_K_S': 'Q4_K', 'Q4_K_M': 'Q4_K', 'Q5_K_S': 'Q5_K', 'Q5_K_M': 'Q5_K', 'MXFP4_MOE': 'Q8_0',
}
SMALLER = {'Q4_K': 'Q5_0', 'Q5_K': 'Q5_1', 'Q6_K': 'Q8_0', 'TQ1_0': 'Q4_0', 'TQ2_0': 'Q4_0'}
NAMES = list(TYPES) + list(MIXES)


def fits(dtype, row):
    """@dtype or what takes its place for rows of @row elements."""
    while row % block_elems(dtype) != 0:
        dtype = SMALLER.get(dtype, 'IQ4_NL' if block_elems(dtype) == 256 else 'F16')
    return dtype


def more_bits(layer, layers):
    """The first and last eighth of the layers, and every third one between."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def mixed(mix, role, layer, hp):
    """The type of a tensor of @role in a @mix."""
    base, eight = MIXES[mix], hp.experts == 8
    if mix == 'MXFP4_MOE':
        return 'MXFP4' if role.endswith('_exps') else base
    if role == 'output' or (role == 'token_embd' and hp.tied):
        return 'Q6_K'
    if eight and role in ('attn_k', 'attn_v'):
        return 'Q8_0'
    if eight and role == 'attn_output' and mix in ('Q3_K_M', 'Q4_K_S', 'Q4_K_M'):
        return 'Q5_K'
    much, down = more_bits(layer, hp.layers), role.startswith('ffn_down')
    if mix in ('Q4_K_M', 'Q5_K_M'):
        if role == 'attn_v' or down:
            return 'Q6_K' if much else base
        return {'Q4_K_M': 'Q5_K', 'Q5_K_M': 'Q6_K'}[mix] if role == 'attn_qkv' else base
    if mix == 'Q4_K_S':
        return 'Q5_K' if (role == 'attn_v' and layer < 4) or (down and layer < hp.layers // 8) else base
    if mix == 'Q3_K_M':
        if role == 'attn_v':
            return 'Q5_K' if layer < 2 else 'Q4_K'
        if down:
            return 'Q5_K' if layer < hp.layers // 16 else 'Q4_K' if much else base
        return 'Q4_K' if role in ('attn_output', 'attn_qkv') else base
    return base


def tensor_type(name, role, layer, row, hp, chosen):
    """@name: a type or mix; @chosen: role -> type that the user asked for."""
    group = 'experts' if role.endswith('_exps') else role
    if group in chosen:
        return fits(chosen[group], row)
    return fits(mixed(name, role, layer, hp) if name in MIXES else name, row)
