# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stories of a little world: lexicon.py has its words, plots.py what happens."""
import random

from . import plots

a = plots.a


def story(seed, split):
    """-> what the hero is, its name or None, the story.  The splits tell different stories."""
    hero, text = plots.story(random.Random(f'{split}/{seed}'))
    return hero.kind, hero.name, text
