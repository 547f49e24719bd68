# SPDX-License-Identifier: LGPL-2.1-or-later
"""Arithmetic with one and two digits, sorting and counting short lists.

Numbers are single digits for the tokenizer.  Two-digit sums are worked out in the answer, ones first, as on paper, so that
every step is a fact of one digit (100 of them, each with and without carry) and the answer copies what stands before it.
A sum belongs to a split by its operands; sums of one digit by operands and wording, as there are too few of them.
Sorting repeats the smallest that is left; counting numbers the items, so that the last number is the answer.
"""
from .frame import system
from ..pools import ANIMALS, COLOURS, JOBS
from ..talk import Talk

SUMS = ['What is {e}?', 'How much is {e}?', '{e} = ?', 'Calculate {e}.', 'Compute {e}.', 'Can you work out {e}?', '{e}', 'What do you get for {e}?',
        'Solve {e}.', 'I need the result of {e}.']
WORDS = {'+': ['{a} plus {b}', 'the sum of {a} and {b}'], '-': ['{a} minus {b}', 'the difference of {a} and {b}'],
         '*': ['{a} times {b}', 'the product of {a} and {b}']}
STORIES = {
    '+': ['{n} has {a} {t} and gets {b} more. How many {t} does {n} have now?', 'There are {a} {t} on the table. {n} brings {b} more. How many are there?'],
    '-': ['{n} has {a} {t} and gives away {b}. How many {t} are left?', 'There are {a} {t} in a box. {n} takes {b}. How many are left?'],
    '*': ['{n} has {a} boxes with {b} {t} each. How many {t} are there?', 'Each of {a} bags holds {b} {t}. How many {t} does {n} have?'],
}
APPLY = {'+': lambda a, b: a + b, '-': lambda a, b: a - b, '*': lambda a, b: a * b}


def operands(p):
    """-> a, op, b.  Half of the sums have two digits somewhere."""
    r = p.r
    op = r.choice('++--*')
    if op == '*':
        return r.randint(0, 10), op, r.randint(0, 10)
    big = r.random() < 0.7
    a, b = r.randint(0, 99 if big else 9), r.randint(0, 99 if big and r.random() < 0.8 else 9)
    return (max(a, b), op, min(a, b)) if op == '-' else (a, op, b)


def worked(a, op, b):
    """The answer with its steps: 47 + 38: 7 + 8 = 15, write 5, carry 1. 4 + 3 + 1 = 8. The answer is 85."""
    result = APPLY[op](a, b)
    if op == '*' or (a < 10 and b < 10):
        return f'{a} {op} {b} = {result}.'
    (x, u), (y, v) = divmod(a, 10), divmod(b, 10)
    if op == '+':
        ones, carry = u + v, (u + v) // 10
        first = f'{u} + {v} = {ones}, write {ones % 10}, carry {carry}.'
        second = f'{x} + {y} + {carry} = {x + y + carry}.'
    else:
        borrow = int(u < v)
        ones = u + 10 * borrow - v
        first = f'{u + 10 * borrow} - {v} = {ones}, write {ones}, borrow {borrow}.'
        second = f'{x} - {y} - {borrow} = {x - y - borrow}.'
    return f'{a} {op} {b}: {first} {second} So {a} {op} {b} = {result}.'


def mine(p, a, op, b, wording):
    if max(a, b) < 10 or op == '*':
        return p.mine(f'{a}{op}{b}/{wording}')
    return p.mine(f'{a}{op}{b}')


def expression(p, a, op, b):
    if p.r.random() < 0.25:
        return p.r.choice(WORDS[op]).format(a=a, b=b)
    sign = p.r.choice('*x') if op == '*' else op
    return p.r.choice(['{a} {s} {b}', '{a} {s} {b}', '{a} {s} {b}', '{a}{s}{b}']).format(a=a, b=b, s=sign)


def one_sum(p):
    """-> question, answer, result"""
    while True:
        a, op, b = operands(p)
        if p.r.random() < 0.2:
            wording = p.r.choice(STORIES[op])
            question = wording.format(a=a, b=b, n=p.name(), t=p.thing())
        else:
            wording = p.r.choice(SUMS)
            question = wording.format(e=expression(p, a, op, b))
        if mine(p, a, op, b, wording):
            return question, worked(a, op, b), APPLY[op](a, b)


def arithmetic(p):
    talk = Talk('arithmetic', system(p))
    for _ in range(p.r.choice((1, 1, 2, 3))):
        question, answer, result = one_sum(p)
        talk.say(question, answer, 'ends', str(result))
    return talk


def shown(p, items):
    return p.r.choice([', ', ', ', ' ', '; ']).join(map(str, items))


SORT = ['Sort these numbers: {l}', 'Sort {l}.', 'Put these numbers in order: {l}', 'Can you sort {l}?', 'Order these from smallest to largest: {l}',
        'Sort from small to large: {l}', 'Bring {l} into order.']
BACK = ['Sort these numbers from largest to smallest: {l}', 'Sort in descending order: {l}', 'Order these from largest to smallest: {l}']
SIZES = ((3, 3, 4, 4, 5, 5, 6), (3, 3, 4, 4, 5), (3, 3, 4, 4, 5))  # of lists to sort, by stage
LETTERS = 'abcdefghijklmnopqrstuvwxyz'
ALPHABET = ['Sort these words by the alphabet: {l}', 'Put these words in alphabetical order: {l}', 'Sort alphabetically: {l}']


def sorting(p):
    talk, r = Talk('sorting', system(p)), p.r
    for _ in range(r.choice((1, 1, 2))):
        n = r.choice(SIZES[p.stage - 1])
        if r.random() < 0.15:
            p.used.clear()
            items = r.sample(r.choice((COLOURS, ANIMALS, JOBS, LETTERS)), min(n, 5))
            question, back = r.choice(ALPHABET), False
        else:
            low, high = r.choice([(0, 9), (1, 99), (1, 99), (10, 99)])
            items = r.sample(range(low, high + 1), n)
            back = r.random() < 0.25
            question = r.choice(BACK if back else SORT)
        if not p.mine(','.join(map(str, items))):
            return sorting(p)
        answer = ', '.join(map(str, sorted(items, reverse=back)))
        talk.say(question.format(l=shown(p, items)), answer, 'is', answer)
    return talk


COUNT = ['How many words are here: {l}', 'Count these: {l}', 'How many things are in this list: {l}', 'Count the items: {l}', 'How many are these: {l}']
LENGTHS = (0.5, 0.85, 0.85)  # part of the questions that ask for the length of a list, by stage; the others ask how often something occurs
COUNT_ONE = ['How many times does {x} occur here: {l}', 'Count how often you see {x}: {l}', 'How often does {x} stand here: {l}']


def counting(p):
    talk, r = Talk('counting', system(p)), p.r
    for _ in range(r.choice((1, 1, 2))):
        p.used.clear()
        if r.random() < LENGTHS[p.stage - 1]:
            items = [p.r.choice((p.thing, p.food, p.name))() for _ in range(r.randint(2, 8))]
            steps = ', '.join(f'{i} {item}' for i, item in enumerate(items, 1))
            question = r.choice(COUNT).format(l=', '.join(items))
            answer, n = f'{steps}. There are {len(items)}.', len(items)
        else:
            kinds = [p.thing() for _ in range(r.choice((2, 2, 3)))]
            items = [r.choice(kinds) for _ in range(r.randint(3, 8))]
            n, steps = 0, []
            for item in items:
                n += item == kinds[0]
                steps.append(f'{item} {n}')
            question = r.choice(COUNT_ONE).format(x=kinds[0], l=', '.join(items))
            answer = f'{", ".join(steps)}. It is there {n} times.' if n != 1 else f'{", ".join(steps)}. It is there 1 time.'
        talk.say(question, answer, 'last', str(n))
    return talk
