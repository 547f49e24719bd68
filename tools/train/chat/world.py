# SPDX-License-Identifier: LGPL-2.1-or-later
"""The story generator of the folder above, for conversations."""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import corpus as stories  # noqa: E402

a = stories.a


def story(seed, split):
    """-> what the hero is, its name or None, the story.  The splits tell different stories."""
    r = random.Random(f'{split}/{seed}')
    hero = stories.Hero(r)
    middle, lesson = r.choice(stories.PLOTS)(r, hero)
    parts = [stories.opening(r, hero), *middle, stories.ending(r, hero, lesson)]
    return hero.kind, hero.name, '\n\n'.join([f'{parts[0]} {parts[1]}', *parts[2:]])
