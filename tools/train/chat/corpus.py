# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes conversations, one JSON object per line: {"skill", "messages", "expect"}.  Conversation n depends on (seed, split, n) alone."""
import argparse
import hashlib
import random

from .pools import EVALUATION, TRAIN, Pools
from .skills import SKILLS
from .talk import compact


def conversation(seed, split, n, skill=None):
    r = random.Random(f'{seed}/{split}/{skill or ""}/{n}')
    if skill is None:
        skill = r.choices(list(SKILLS), [weight for _, weight in SKILLS.values()])[0]
    return SKILLS[skill][0](Pools(r, split)).record()


def write(path, seed, split, n, skill=None):
    """-> SHA-256 of what stands in the file."""
    digest = hashlib.sha256()
    with open(path, 'wb') as f:
        for i in range(n):
            line = compact(conversation(seed, split, i, skill)).encode() + b'\n'
            digest.update(line)
            f.write(line)
    return digest.hexdigest()


def main(arguments=None):
    p = argparse.ArgumentParser(prog='chat-model corpus', description=__doc__)
    p.add_argument('output')
    p.add_argument('--conversations', type=int, default=400000)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--split', choices=(TRAIN, EVALUATION), default=TRAIN)
    p.add_argument('--skill', choices=tuple(SKILLS), help='of this skill alone')
    args = p.parse_args(arguments)
    print(f'{args.conversations} conversations, sha256 {write(args.output, args.seed, args.split, args.conversations, args.skill)}')
