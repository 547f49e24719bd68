# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stories of the little world of ../../corpus.py, told when asked for."""
from .frame import system
from .. import world
from ..pools import TRAIN
from ..talk import Talk

ASK = ['Tell me a story about {x}.', 'Please tell me a story about {x}.', 'Write a short story about {x}.', 'A story about {x}, please.',
       'Can you tell me a story about {x}?', 'I would like to hear a story about {x}.']
OPEN = ['Tell me a story.', 'Write a short story.', 'Can you tell me a story?', 'A story, please.', 'Tell me something.', 'Once upon a time', 'Once upon a time...', 'Begin with: Once upon a time']


def question(p, kind, name):
    """-> the question, what the story must have.  What asks for any story is for training alone."""
    if p.r.random() < 0.1:
        return p.r.choice(OPEN), ''
    if name and p.r.random() < 0.5:
        return p.r.choice(ASK).format(x=f'{world.a(kind)} named {name}'), name
    return p.r.choice(ASK).format(x=world.a(kind)), kind


def talk(p):
    while True:
        kind, name, text = world.story(p.r.random(), p.split)
        asked, part = question(p, kind, name)
        if asked in OPEN and p.split == TRAIN or asked not in OPEN and p.mine(asked):
            return Talk('stories', system(p)).say(asked, text, 'story', part)
