# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checkpoint -> GGUF, with matrices as Q8_0 (what is shipped: 1.06 bytes a weight) or F32 (what it is compared with)."""
import argparse

import torch

from . import gguf
from .talk import TEMPLATE
from .tokenizer import Tokenizer

NAME = 'Tiny Chat'
FILE_TYPES = {'f32': 0, 'q8_0': 7}


def label(n):
    """Parameters as file names have them: 4.8M."""
    return f'{n / 1e6:.1f}M' if n >= 1e6 else f'{n / 1e3:.0f}K'


def metadata(config, tokenizer, n, kind):
    a = 'llama.'
    return {
        'general.architecture': 'llama', 'general.type': 'model', 'general.name': NAME, 'general.license': 'CC0-1.0', 'general.size_label': label(n),
        'general.description': 'A small chat model of English with a few words of Chinese; made by tools/train of local-llm from its own corpus',
        'general.languages': ['en', 'zh'], 'general.file_type': FILE_TYPES[kind], 'general.quantization_version': 2,
        a + 'block_count': config['n_layers'], a + 'context_length': config['context'], a + 'embedding_length': config['d_model'],
        a + 'feed_forward_length': config['d_ff'], a + 'attention.head_count': config['n_heads'], a + 'attention.head_count_kv': config['n_kv_heads'],
        a + 'attention.layer_norm_rms_epsilon': config['rms_eps'], a + 'rope.dimension_count': config['d_model'] // config['n_heads'],
        a + 'rope.freq_base': config['rope_base'], a + 'vocab_size': config['n_vocab'], **tokenizer.metadata(), 'tokenizer.chat_template': TEMPLATE,
    }


def export(checkpoint, tokenizer_path, output, kind='q8_0'):
    """-> parameters"""
    state, tokenizer = torch.load(checkpoint, map_location='cpu'), Tokenizer.load(tokenizer_path)
    if tokenizer.n != state['config']['n_vocab']:
        raise SystemExit(f'{tokenizer_path} has {tokenizer.n} tokens, {checkpoint} {state["config"]["n_vocab"]}')
    weights = {name: w.numpy() for name, w in state['params'].items()}
    n = sum(w.size for w in weights.values())
    gguf.write(output, metadata(state['config'], tokenizer, n, kind), weights, matrices=kind)
    return n


def main(arguments=None):
    p = argparse.ArgumentParser(prog='chat-model export', description=__doc__)
    p.add_argument('checkpoint')
    p.add_argument('tokenizer')
    p.add_argument('output')
    p.add_argument('--type', choices=tuple(FILE_TYPES), default='q8_0')
    args = p.parse_args(arguments)
    print(f'{export(args.checkpoint, args.tokenizer, args.output, args.type)} parameters')
