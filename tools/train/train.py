# SPDX-License-Identifier: LGPL-2.1-or-later
"""Corpus -> tokenizer -> training -> GGUF file."""
import argparse
import time

import numpy as np
import torch

import bpe
import gguf
from model import Config, forward, make_tables, new_parameters

BOS, EOS = '<|begin_of_text|>', '<|end_of_text|>'


def tokenize(texts, encoder, bos, eos):
    ids = []
    for text in texts:
        ids += [bos, *encoder.encode(text), eos]
    return np.array(ids, dtype=np.int16)


def learning_rate(step, steps, peak):
    warm = min(1, (step + 1) / 100)
    return peak * warm * (0.05 + 0.95 * (1 - step / steps))


def train(config, data, args):
    generator = torch.Generator().manual_seed(args.seed)
    params = new_parameters(config, generator)
    matrices = [p for p in params.values() if p.dim() == 2]
    vectors = [p for p in params.values() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{'params': matrices, 'weight_decay': 0.05}, {'params': vectors, 'weight_decay': 0.0}], lr=args.lr, betas=(0.9, 0.98))
    tables = make_tables(config, args.length)
    data = torch.from_numpy(data.astype(np.int64))
    start, losses, steps, step = time.time(), [], args.steps, 0
    while step < steps:
        at = torch.randint(0, len(data) - args.length - 1, (args.batch,), generator=generator)
        batch = torch.stack([data[i:i + args.length + 1] for i in at])
        for group in optimizer.param_groups:
            group['lr'] = learning_rate(step, steps, args.lr)
        logits = forward(config, params, batch[:, :-1], tables)
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(params.values()), 1.0)
        optimizer.step()
        losses.append(loss.item())
        step += 1
        if step % 50 == 0:
            spent = time.time() - start
            print(f'step {step}/{steps}, loss {np.mean(losses[-50:]):.4f}, {step * args.batch * args.length / spent:.0f} tokens/s, {spent:.0f} s', flush=True)
        if step == 20:  # fit the schedule to the time there is
            steps = max(40, min(args.steps, int(args.minutes * 60 / ((time.time() - start) / 20))))
    return {name: p.detach().numpy() for name, p in params.items()}, float(np.mean(losses[-100:])), step


def metadata(config, merges):
    letters = bpe.byte_alphabet()
    text = lambda piece: ''.join(letters[b] for b in piece)
    pieces = [bytes([b]) for b in range(256)] + [left + right for left, right in merges]
    n = len(pieces)
    return {
        'general.architecture': 'llama', 'general.name': 'Tiny Stories', 'general.license': 'CC0-1.0',
        'general.description': 'Short stories of a little world; made by tools/train of local-llm', 'general.file_type': 7,
        'llama.block_count': config.n_layers, 'llama.context_length': config.context, 'llama.embedding_length': config.d_model,
        'llama.feed_forward_length': config.d_ff, 'llama.attention.head_count': config.n_heads,
        'llama.attention.head_count_kv': config.n_kv_heads, 'llama.attention.layer_norm_rms_epsilon': config.rms_eps,
        'llama.rope.dimension_count': config.head_dim, 'llama.rope.freq_base': config.rope_base, 'llama.vocab_size': config.n_vocab,
        'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'llama-bpe', 'tokenizer.ggml.tokens': [text(p) for p in pieces] + [BOS, EOS],
        'tokenizer.ggml.token_type': [1] * n + [3, 3], 'tokenizer.ggml.merges': [f'{text(left)} {text(right)}' for left, right in merges],
        'tokenizer.ggml.bos_token_id': n, 'tokenizer.ggml.eos_token_id': n + 1, 'tokenizer.ggml.add_bos_token': True,
    }


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('corpus')
    p.add_argument('output')
    p.add_argument('--minutes', type=float, default=10, help='of training; the schedule is fitted to it')
    p.add_argument('--steps', type=int, default=100000, help='at most')
    p.add_argument('--batch', type=int, default=16)
    p.add_argument('--length', type=int, default=256)
    p.add_argument('--lr', type=float, default=3e-3)
    p.add_argument('--seed', type=int, default=1)
    args = p.parse_args()
    config = Config()
    texts = open(args.corpus, 'rb').read().decode().split('\0')[:-1]
    merges = bpe.train(texts[:8000], config.n_vocab - 258)
    encoder = bpe.Encoder(merges)
    data = tokenize(texts, encoder, config.n_vocab - 2, config.n_vocab - 1)
    print(f'{len(texts)} stories, {len(data)} tokens', flush=True)
    weights, loss, steps = train(config, data, args)
    gguf.write(args.output, metadata(config, merges), weights)
    print(f'{sum(w.size for w in weights.values())} parameters, {steps} steps, loss {loss:.4f}')


if __name__ == '__main__':
    main()
