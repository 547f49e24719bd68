# SPDX-License-Identifier: LGPL-2.1-or-later
"""Corpus and tokenizer -> checkpoint.  Muon and AdamW, a rate in a straight line, loss on what the assistant says and a little on the rest.

The network is that of model.py.  A checkpoint has the weights, the optimizers, the step, the time spent and where its stage began
(a stage is a corpus): with --resume a run goes on as if it had not been stopped.
"""
import argparse
import hashlib
import os
import time

import torch
import torch.nn.functional as F

from . import data, model
from .muon import Muon
from .talk import END_OF_TEXT
from .tokenizer import Tokenizer, read

SHAPE = dict(d_model=256, d_ff=512, n_layers=6, n_heads=4, n_kv_heads=2, context=1024)
TINY = dict(d_model=32, d_ff=64, n_layers=2, n_heads=2, n_kv_heads=1, context=1024)
WARM_UP = 100  # steps
LEAST = 0.01   # of the peak
MUON = 10      # times the rate of AdamW
REST = 0.1     # weight of what the assistant does not say


def rate(step, progress, start, end):
    """Of the peak: a short rise at the very beginning; a straight line from @start to @end.  @progress of the stage: 0 to 1."""
    return min(1, (step + 1) / WARM_UP) * max(LEAST, start + (end - start) * progress)


def masks(config, talk):
    """talk: (B, T) number of the conversation -> (B * kv heads, 1, T, T): 0 for what a row sees, else -inf."""
    time = talk.shape[1]
    sees = (talk[:, :, None] == talk[:, None, :]) & torch.ones(time, time, dtype=torch.bool, device=talk.device).tril()
    mask = torch.zeros(sees.shape, dtype=torch.bfloat16, device=talk.device).masked_fill_(~sees, float('-inf'))
    return mask.repeat_interleave(config.n_kv_heads, 0)[:, None]


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read()).hexdigest()


class Run:
    def __init__(self, config, device, seed, lr):
        self.config, self.device = config, device
        made = model.new_parameters(config, torch.Generator().manual_seed(seed))
        self.params = {k: w.detach().to(device).requires_grad_() for k, w in made.items()}
        hidden = [w for name, w in self.params.items() if w.dim() == 2 and name.startswith('blk.')]
        rest = [w for w in self.params.values() if not any(w is h for h in hidden)]
        self.optimizers = {'muon': Muon(hidden, MUON * lr, 0.02), 'adamw': torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)}
        self.step, self.spent, self.stage, self.tables = 0, 0.0, None, {}

    def rope(self, length):
        if length not in self.tables:
            self.tables[length] = model.rope_table(self.config, length).to(self.device)
        return self.tables[length]

    def loss(self, batch):
        """-> weighted loss to train on, mean loss of the assistant's tokens"""
        tokens, says, talk = (torch.from_numpy(a.astype('int64')).to(self.device) for a in batch)
        logits = model.forward(self.config, self.params, tokens[:, :-1], (self.rope(tokens.shape[1] - 1), masks(self.config, talk[:, :-1])))
        each = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction='none')
        inside = (talk[:, 1:] == talk[:, :-1]) & (talk[:, 1:] > 0)  # the first token of a conversation follows from nothing
        said = (says[:, 1:] * inside).float().flatten()
        weight = said + REST * (inside.float().flatten() - said)
        return (each * weight).sum() / weight.sum().clamp(min=1), (each.detach() * said).sum() / said.sum().clamp(min=1)

    def one(self, batch, factor):
        loss, said = self.loss(batch)
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self.params.values()), 1.0)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group['lr'] = group.setdefault('peak', group['lr']) * factor
            optimizer.step()
        self.step += 1
        return said

    def save(self, path):
        state = {'config': vars(self.config), 'params': {k: w.detach().cpu() for k, w in self.params.items()}, 'optimizers': {k: o.state_dict() for k, o in self.optimizers.items()},
                 'step': self.step, 'spent': self.spent, 'stage': self.stage}
        torch.save(state, path + '.new')
        os.replace(path + '.new', path)

    def load(self, path):
        state = torch.load(path, map_location=self.device)
        if state['config'] != vars(self.config):
            raise SystemExit(f'{path} is of another shape: {state["config"]}')
        with torch.no_grad():
            for k, w in self.params.items():
                w.copy_(state['params'][k])
        for k, o in self.optimizers.items():
            o.load_state_dict(state['optimizers'][k])
        self.step, self.spent, self.stage = state['step'], state['spent'], state['stage']


def train(run, batches, args):
    """Until --steps or --minutes, whichever comes first; the rate follows the nearer one."""
    start, last, losses, tokens = time.monotonic() - run.spent, time.monotonic(), [], 0
    _, first, before = run.stage
    while True:
        run.spent = time.monotonic() - start
        progress = max((run.step - first) / max(1, args.steps - first) if args.steps else 0,
                       (run.spent - before) / max(1, args.minutes * 60 - before) if args.minutes else 0)
        if progress >= 1:
            break
        batch = batches[run.step - first]
        losses.append(run.one(batch, rate(run.step, progress, *args.rate)))
        tokens += batch[0][:, 1:].size
        if run.step % args.every == 0:
            now = time.monotonic()
            print(f'step {run.step}, {100 * progress:.1f} %, loss of answers {sum(map(float, losses)) / len(losses):.4f}, {tokens / (now - last):.0f} tokens/s, '
                  f'{now - start:.0f} s', flush=True)
            last, losses, tokens = now, [], 0
        if run.step % args.save_every == 0:
            run.save(args.checkpoint)
    run.save(args.checkpoint)
    print(f'{run.step} steps, {run.spent:.0f} s')


def main(arguments=None):
    p = argparse.ArgumentParser(prog='chat-model train', description=__doc__.splitlines()[0])
    p.add_argument('corpus')
    p.add_argument('tokenizer')
    p.add_argument('checkpoint')
    p.add_argument('--minutes', type=float, default=0, help='in all, over resumed runs')
    p.add_argument('--steps', type=int, default=0, help='in all, over resumed runs')
    p.add_argument('--resume', action='store_true', help='go on with the checkpoint; with another corpus a new stage begins')
    p.add_argument('--rate', type=float, nargs=2, default=(1, 0), metavar=('FROM', 'TO'), help='of the peak, over the stage; default 1 0')
    p.add_argument('--batch-tokens', type=int, default=4096)
    p.add_argument('--conversations', type=int, help='so many of the corpus')
    p.add_argument('--lr', type=float, default=2e-3)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--every', type=int, default=50, help='steps between lines')
    p.add_argument('--save-every', type=int, default=200)
    p.add_argument('--tiny', action='store_true', help='a shape for tests')
    args = p.parse_args(arguments)
    if not args.minutes and not args.steps:
        p.error('one of --minutes and --steps is needed')
    torch.manual_seed(args.seed)
    torch.set_num_threads(len(os.sched_getaffinity(0)))  # OpenMP's own count is 1 on some machines
    tokenizer = Tokenizer.load(args.tokenizer)
    config = model.Config(n_vocab=tokenizer.n, **(TINY if args.tiny else SHAPE))
    run = Run(config, 'cuda' if torch.cuda.is_available() else 'cpu', args.seed, args.lr)
    if args.resume and os.path.exists(args.checkpoint):
        run.load(args.checkpoint)
    if args.steps and run.step >= args.steps or args.minutes and run.spent >= args.minutes * 60:
        print(f'{run.step} steps, {run.spent:.0f} s: this stage is over')
        return
    name = digest(args.corpus)
    if run.stage is None or run.stage[0] != name:
        run.stage = (name, run.step, run.spent)
    packed, n = data.pack(tokenizer, read(args.corpus, args.conversations), tokenizer.special[END_OF_TEXT])
    rows = {length: len(a[0]) for length, a in packed.items()}
    print(f'{sum(w.numel() for w in run.params.values())} parameters, {n} tokens in rows {rows} ({n / sum(k * v for k, v in rows.items()):.0%} full), '
          f'{run.device}, from step {run.step}', flush=True)
    train(run, data.Batches(packed, args.batch_tokens, args.seed), args)
