# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files that llama.cpp quantised have the types that tools/generate-model would choose: every model of LLM_MATERIAL whose
general.file_type is a mix, or a type that may have to fall back to another."""
import glob
import os
import struct
import sys
import types

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.environ['LLM_GENERATE_MODEL']))

try:
    from modelgen import blocks, gguf, mixes
except ImportError as e:
    print(e)
    sys.exit(77)

NAMES = {mixes.FILE_TYPES[name]: name for name in ('Q3_K_M', 'Q4_K_S', 'Q4_K_M', 'Q5_K_S', 'Q5_K_M', 'Q6_K')}


def number(metadata, key, otherwise):
    packed = metadata.values.get(key)
    return struct.unpack_from('<I', packed, 4)[0] if packed else otherwise


def check(path):
    """-> tensors compared; 0: the file says nothing about a mix."""
    m = gguf.Metadata(path)
    name = NAMES.get(number(m, 'general.file_type', None))
    tensors = list(m.tensors())
    arch = m.values['general.architecture'][12:].decode()
    shape = types.SimpleNamespace(layers=number(m, f'{arch}.block_count', 0), experts=number(m, f'{arch}.expert_count', 0),
                                  tied='output.weight' not in [t[0] for t in tensors])
    compared = 0
    for tensor, dims, kind in tensors:
        parts = tensor.split('.')
        layer, role = (int(parts[1]), parts[2]) if parts[0] == 'blk' else (0, parts[0])
        if name and len(dims) > 1 and role != 'ffn_gate_inp':
            chosen = mixes.tensor_type(name, role, layer, dims[0], shape, {})
            assert blocks.type_number(chosen) == kind, f'{path}: {tensor} {dims} has type {kind}; chosen is {chosen}'
            compared += 1
    return compared


MATERIAL = os.environ.get('LLM_MATERIAL', os.environ['LLM_DEFAULT_MATERIAL'])
compared = {path: check(path) for path in sorted(glob.glob(os.path.join(MATERIAL, 'models', '**', '*.gguf'), recursive=True))}
for path, n in compared.items():
    print(f'{os.path.basename(path)}: {n} tensors' if n else f'{os.path.basename(path)}: no mix')
sys.exit(0 if any(compared.values()) else 77)
