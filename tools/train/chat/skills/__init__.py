# SPDX-License-Identifier: LGPL-2.1-or-later
"""One file per skill; each has functions of (pools) -> Talk.

SKILLS: the function, and its parts of the corpus in conversations, by stage of training.  The first one is broad; after it
the fixed answers (help, Chinese) are known and what is copied and compared gets the room; the last one has words of any spelling.
"""
from . import chinese, extract, help, numbers, recall, smalltalk, stories, tools

SKILLS = {
    'recall': (recall.talk, (22, 28, 28)), 'json': (extract.talk, (16, 26, 26)), 'tools': (tools.talk, (12, 8, 8)), 'help': (help.talk, (9, 5, 5)),
    'arithmetic': (numbers.arithmetic, (14, 8, 8)), 'sorting': (numbers.sorting, (15, 26, 26)), 'counting': (numbers.counting, (8, 12, 12)),
    'smalltalk': (smalltalk.talk, (4, 2, 2)), 'chinese': (chinese.talk, (4, 2, 2)), 'stories': (stories.talk, (5, 2, 2)), 'mixed': (recall.mixed, (6, 3, 3)),
}
