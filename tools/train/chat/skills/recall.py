# SPDX-License-Identifier: LGPL-2.1-or-later
"""Facts told over several turns and asked for later, by the user about himself or about others; repeating; corrections.

Answers name what they answer ("Your name is ..."), so that the words before the fact say which fact to copy.  Half of the
names are made up: they cannot be known, only copied, piece by piece.
"""
from . import chinese, help, numbers, smalltalk
from .frame import SYSTEMS, asked, system
from ..pools import ANIMALS, DAYS, JOBS, MONTHS
from ..talk import Talk

# kind: (how it is told, what the assistant says to it, how it is asked, the answer)
OWN = {
    'name': (['My name is {x}.', 'I am {x}.', 'Hello, I am {x}.', 'You can call me {x}.', 'I am called {x}.', 'Hi! My name is {x}.'],
             ['Nice to meet you, {x}.', 'Hello {x}!', 'Hello, {x}. How can I help?'],
             ['What is my name?', 'Who am I?', 'Do you remember my name?', 'What am I called?'], 'Your name is {x}.'),
    'colour': (['My favourite colour is {x}.', 'I like {x} best of all colours.', 'The colour I like best is {x}.'],
               ['I will remember that: {x}.', '{x} is a nice colour.'],
               ['What is my favourite colour?', 'Which colour do I like best?', 'Which colour do I like?'], 'Your favourite colour is {x}.'),
    'number': (['My lucky number is {x}.', 'My favourite number is {x}.', 'Remember the number {x}.', 'The number is {x}.'],
               ['I will remember the number {x}.', 'Okay, {x}.'],
               ['What is my number?', 'Which number did I tell you?', 'What was the number?', 'Do you remember the number?'], 'The number is {x}.'),
    'city': (['I live in {x}.', 'My home is {x}.', 'I come from {x}.'], ['{x} is a good place.', 'I see, you live in {x}.'],
             ['Where do I live?', 'In which city do I live?', 'Where is my home?'], 'You live in {x}.'),
    'food': (['I like to eat {x}.', 'My favourite food is {x}.', 'I love {x}.'], ['{x}, that sounds good.', 'I will remember that you like {x}.'],
             ['What do I like to eat?', 'What is my favourite food?'], 'You like {x}.'),
    'animal': (['I have a {x}.', 'My pet is a {x}.', 'At home I have a {x}.'], ['A {x}! How nice.', 'I like that you have a {x}.'],
               ['What pet do I have?', 'Which animal do I have?'], 'You have a {x}.'),
    'pet': (['My pet is called {x}.', 'The name of my pet is {x}.'], ['{x} is a good name for a pet.'],
            ['What is the name of my pet?', 'What is my pet called?'], 'Your pet is called {x}.'),
    'friend': (['My best friend is {x}.', 'My friend is called {x}.'], ['Say hello to {x} for me.', '{x} must be nice.'],
               ['Who is my best friend?', 'What is my friend called?'], 'Your friend is {x}.'),
    'job': (['I work as a {x}.', 'I am a {x} by trade.'], ['So you are a {x}.', 'To be a {x} is good work.'],
            ['What is my job?', 'What do I work as?'], 'You work as a {x}.'),
    'code': (['The code is {x}.', 'My code is {x}.', 'Please remember the code {x}.'], ['I will remember the code {x}.', 'The code is {x}, I have it.'],
             ['What is the code?', 'What was my code?', 'Tell me the code.'], 'The code is {x}.'),
    'room': (['I am in room {x}.', 'My room is number {x}.'], ['Room {x}, I see.'], ['Which room am I in?', 'What is my room?'], 'You are in room {x}.'),
    'day': (['We meet on {x}.', 'The meeting is on {x}.'], ['I will remember {x}.'], ['When do we meet?', 'On which day is the meeting?'], 'You meet on {x}.'),
    'birthday': (['My birthday is in {x}.', 'I was born in {x}.'], ['{x} is a good month.'], ['When is my birthday?', 'In which month is my birthday?'],
                 'Your birthday is in {x}.'),
}
# of others: told, asked, answered; two or three people with the same kind of fact
OTHERS = [
    ('colour', '{n} likes {x}.', ['Which colour does {n} like?', 'What colour does {n} like?'], '{n} likes {x}.'),
    ('food', '{n} eats {x}.', ['What does {n} eat?', 'What does {n} like to eat?'], '{n} eats {x}.'),
    ('city', '{n} lives in {x}.', ['Where does {n} live?', 'In which city does {n} live?'], '{n} lives in {x}.'),
    ('number', '{n} has number {x}.', ['Which number does {n} have?', 'What is the number of {n}?'], '{n} has number {x}.'),
    ('animal', '{n} has a {x}.', ['What does {n} have?', 'Which animal does {n} have?'], '{n} has a {x}.'),
    ('age', '{n} is {x} years old.', ['How old is {n}?', 'What is the age of {n}?'], '{n} is {x} years old.'),
    ('job', '{n} is a {x}.', ['What is the job of {n}?', 'What does {n} do?'], '{n} is a {x}.'),
]


def value(p, kind):
    return str({'name': p.name, 'colour': p.colour, 'city': p.city, 'food': p.food, 'pet': p.name, 'friend': p.name,
                'number': lambda: p.number(1, 99), 'animal': lambda: p.shared(ANIMALS), 'job': lambda: p.shared(JOBS),
                'code': lambda: p.number(100, 9999), 'room': lambda: p.number(1, 400), 'day': lambda: p.shared(DAYS),
                'birthday': lambda: p.shared(MONTHS), 'age': lambda: p.number(3, 90)}[kind]())


def first_up(text):
    return text[:1].upper() + text[1:]


def other_turn(p, talk):
    """Something else in between."""
    kind = p.r.random()
    if kind < 0.35:
        question, answer, _ = numbers.one_sum(p)
    elif kind < 0.7:
        question, answer = smalltalk.turn(p)
    elif kind < 0.9:
        question, answer = help.turn(p)[:2]
    else:
        question, answer = chinese.turn(p)[:2]
    talk.say(question, answer)


def own(p):
    """1 to 4 facts, then questions about some of them."""
    r, talk = p.r, Talk('recall', system(p))
    kinds = r.sample(sorted(OWN), r.choice((1, 2, 2, 3, 3, 4)))
    facts = {kind: value(p, kind) for kind in kinds}
    one_message = len(kinds) > 1 and r.random() < 0.35
    if one_message:
        told = ' '.join(r.choice(OWN[kind][0]).format(x=facts[kind]) for kind in kinds)
        talk.say(told, r.choice(['Okay, I will remember that.', 'Thank you, I have it.']))
    else:
        for kind in kinds:
            talk.say(r.choice(OWN[kind][0]).format(x=facts[kind]), first_up(r.choice(OWN[kind][1]).format(x=facts[kind])))
            if r.random() < 0.12:
                other_turn(p, talk)
    if r.random() < 0.12:  # what was said last counts
        kind = r.choice(kinds)
        facts[kind] = value(p, kind)
        talk.say(r.choice(['No, ', 'Sorry, ', 'I was wrong: ']) + r.choice(OWN[kind][0]).format(x=facts[kind]).replace('Hello, ', '').replace('Hi! ', ''),
                 first_up(r.choice(OWN[kind][1]).format(x=facts[kind])))
    for _ in range(r.choice((0, 0, 1, 1, 2)) if r.random() < 0.93 else r.randint(6, 16)):  # seldom a long way back
        other_turn(p, talk)
    for kind in r.sample(kinds, r.randint(1, len(kinds))):
        talk.say(asked(p, r.choice(OWN[kind][2])), OWN[kind][3].format(x=facts[kind]), 'has', facts[kind])
    return talk


def others(p):
    r, talk = p.r, Talk('recall', system(p))
    people = [p.name() for _ in range(r.choice((2, 2, 3, 3, 4)))]
    kind, told, ask, answer = r.choice(OTHERS)
    facts = {n: value(p, kind) for n in people}
    sentences = [told.format(n=n, x=facts[n]) for n in people]
    if r.random() < 0.5:
        question = r.choice(people)
        talk.say(' '.join(sentences) + ' ' + r.choice(ask).format(n=question), answer.format(n=question, x=facts[question]), 'has', facts[question])
    elif r.random() < 0.5:
        talk.say(' '.join(sentences), 'Okay, I will remember that.')
    else:
        for s in sentences:
            talk.say(s, r.choice(['Okay.', 'I see.', s]))
    if r.random() < 0.3:
        other_turn(p, talk)
    for n in r.sample(people, r.randint(1, 2)):
        talk.say(r.choice(ask).format(n=n), answer.format(n=n, x=facts[n]), 'has', facts[n])
    return talk


def repeat(p):
    """Say it again, word for word."""
    r, talk = p.r, Talk('recall', system(p))
    for _ in range(r.choice((1, 1, 2))):
        words = [r.choice((p.name, p.made_up, p.city, p.thing, p.food, lambda: str(p.number(10, 9999))))() for _ in range(r.randint(1, 5))]
        text = r.choice([' ', ', ']).join(words)
        talk.say(r.choice(['Repeat after me: {x}', 'Say: {x}', 'Please repeat: {x}', 'Write exactly this: {x}', 'Repeat: {x}']).format(x=text), text, 'is', text)
        p.used.clear()
    return talk


def talk(p):
    kind = p.r.random()
    return own(p) if kind < 0.6 else others(p) if kind < 0.88 else repeat(p)


def mixed(p):
    """Turns of several skills, one after the other."""
    t = Talk('mixed', p.r.choice([None, *SYSTEMS]))
    for _ in range(p.r.randint(2, 6)):
        other_turn(p, t)
    return t
