# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes conversations, one JSON object per line: {"skill", "messages", "expect"}.  Conversation n depends on (seed, stage, split, n) alone."""
import argparse
import hashlib
import random

from .pools import EVALUATION, STAGES, TRAIN, Pools
from .skills import SKILLS
from .talk import compact


def conversation(seed, split, n, skill=None, stage=STAGES):
    r = random.Random(f'{seed}/{split}/{skill or ""}/{n}' + (f'/{stage}' if stage > 1 else ''))
    if skill is None:
        skill = r.choices(list(SKILLS), [weights[stage - 1] for _, weights in SKILLS.values()])[0]
    return SKILLS[skill][0](Pools(r, split, stage)).record()


def write(path, seed, split, n, skill=None, stage=STAGES):
    """-> SHA-256 of what stands in the file."""
    digest = hashlib.sha256()
    with open(path, 'wb') as f:
        for i in range(n):
            line = compact(conversation(seed, split, i, skill, stage)).encode() + b'\n'
            digest.update(line)
            f.write(line)
    return digest.hexdigest()


def main(arguments=None):
    p = argparse.ArgumentParser(prog='chat-model corpus', description=__doc__)
    p.add_argument('output')
    p.add_argument('--conversations', type=int, default=400000)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--split', choices=(TRAIN, EVALUATION), default=TRAIN)
    p.add_argument('--stage', type=int, choices=range(1, STAGES + 1), default=STAGES, help=f'of training; default {STAGES}')
    p.add_argument('--skill', choices=tuple(SKILLS), help='of this skill alone')
    args = p.parse_args(arguments)
    print(f'{args.conversations} conversations, sha256 {write(args.output, args.seed, args.split, args.conversations, args.skill, args.stage)}')
