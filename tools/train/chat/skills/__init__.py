# SPDX-License-Identifier: LGPL-2.1-or-later
"""One file per skill; each has functions of (pools) -> Talk.

WEIGHTS: parts of the corpus in conversations.  Short skills that need many examples (arithmetic) get many, the fixed
ones (help, Chinese) few: their answers are the same every time.
"""
from . import chinese, extract, help, numbers, recall, smalltalk, stories, tools

SKILLS = {
    'recall': (recall.talk, 22), 'json': (extract.talk, 16), 'tools': (tools.talk, 13), 'help': (help.talk, 9),
    'arithmetic': (numbers.arithmetic, 14), 'sorting': (numbers.sorting, 13), 'counting': (numbers.counting, 8),
    'smalltalk': (smalltalk.talk, 4), 'chinese': (chinese.talk, 4), 'stories': (stories.talk, 5), 'mixed': (recall.mixed, 6),
}
