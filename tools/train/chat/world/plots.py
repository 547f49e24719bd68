# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stories of the little world of lexicon.py: plots with a goal, an obstacle and an end.

A story depends on its random generator alone.  A hero keeps its name, pronoun, food and home
through a story, and what is lost lies where such a thing can lie.
"""
import random

from . import lexicon as lx

ANIMALS, FOLK, ALIVE = lx.rows(lx.ANIMALS), lx.rows(lx.FOLK), lx.rows(lx.ALIVE)
TREASURES = lx.rows(lx.TREASURES)
FORMS = {'he': ('he', 'him', 'his'), 'she': ('she', 'her', 'her'), 'it': ('it', 'it', 'its')}


def a(noun):
    return ('an ' if noun[0] in 'aeiou' else 'a ') + noun


def up(text):
    return text[0].upper() + text[1:]


class Hero:
    """Whom the story is about: `the` names it, `he/him/his` stand for it."""

    def __init__(self, r):
        kind = r.random()
        self.food, self.sound = r.choice(['an apple', 'warm bread', 'a sweet pear', 'vegetable soup']), None
        if kind < 0.42:
            pronoun = r.choice(['he', 'she'])
            self.name = r.choice(lx.GIRLS if pronoun == 'she' else lx.BOYS)
            child = 'girl' if pronoun == 'she' else 'boy'
            trait = r.choice(lx.KID_TRAITS)
            self.intro = f'{a(r.choice(["little", "small", "young", trait]) + " " + child)} named {self.name}'
            self.home, self.kind, self.the = r.choice(lx.LANDS), child, self.name
        elif kind < 0.75:
            animal, self.food, self.sound, self.home = r.choice(ANIMALS)
            pronoun = r.choice(['he', 'she'])
            self.name = r.choice(lx.PETS)
            self.intro = f'{a((r.choice(lx.SIZES) + " " + animal).strip())} named {self.name}'
            self.kind, self.the = animal, self.name
        elif kind < 0.9:
            folk, pronoun, self.food, self.home = r.choice(FOLK)
            self.name = up(r.choice(lx.SYLLABLES) + r.choice(lx.SYLLABLES) + r.choice(lx.TAILS))
            self.intro = f'{a(r.choice(lx.KID_TRAITS) + " " + folk)} named {self.name}'
            self.kind, self.the = folk, self.name
        else:
            thing, self.home = r.choice(ALIVE)
            pronoun, self.name = 'it', None
            self.intro = a(f'{r.choice(["little", "small", "old"])} {thing}')
            self.kind, self.the = thing, f'the {self.intro.split(" ", 1)[1]}'
            self.food = r.choice(['sunshine', 'warm tea', 'fresh air'])
        self.he, self.him, self.his = FORMS[pronoun]


def opening(r, h):
    time = r.choice(['Once upon a time', 'Once upon a time', 'Once upon a time', 'Long ago', 'One day', 'A long time ago'])
    live = r.choice([f'{time}, there was {h.intro}. {up(h.he)} lived in {h.home}.' if not h.home.startswith('the ')
                     else f'{time}, there was {h.intro}. {up(h.he)} lived near {h.home}.',
                     f'{time}, there was {h.intro}.', f'{time}, there lived {h.intro}.'])
    like = r.choice([f' {up(h.the)} liked to play outside.', f' {up(h.the)} was very {r.choice(lx.KID_TRAITS)}.',
                     f' Every day {h.the} ate {h.food}.', f' {up(h.the)} liked {h.food} very much.', ''])
    return live + like


def ending(r, h, lesson):
    last = [f'{up(h.the)} was very happy.', f'{up(h.the)} went home and slept well that night.', f'From that day on, {h.the} was never sad again.',
            f'{up(h.the)} smiled all the way home.', f'That evening {h.the} ate {h.food} and told everybody about the day.']
    lessons = {'share': [f'{up(h.the)} had learned that sharing makes everybody happy.', 'It is good to share.'],
               'brave': [f'{up(h.the)} had learned to be brave.', f'Now {h.the} knew that being brave means to try even when you are afraid.'],
               'try': [f'{up(h.the)} had learned never to give up.', 'If you try again and again, you can do it.'],
               'help': [f'{up(h.the)} had learned that it is good to ask for help.', 'Good friends help each other.'],
               'friend': [f'{up(h.the)} was not alone any more.', 'They were friends for ever.'],
               'care': [f'{up(h.the)} promised to be more careful.', f'After that, {h.the} took good care of {h.his} things.']}
    parts = [r.choice(last)]
    if r.random() < 0.7:
        parts.insert(r.randrange(2), r.choice(lessons[lesson]))
    return ' '.join(parts) + r.choice(['', '', ' The end.'])


def helper(r):
    name, pronoun = r.choice(lx.HELPERS).split(' | ')
    return name, *FORMS[pronoun]


def place(r):
    name, preposition = r.choice(lx.PLACES).split(' | ')
    return name, f'{preposition} the {name}'


def day(r):
    return r.choice([f'One {r.choice(lx.WEATHERS)} day', f'One {r.choice(lx.WEATHERS)} morning', 'One morning', 'One day', f'One day in {r.choice(lx.SEASONS)}'])


def plot_lost(r, h):
    thing, hides = r.choice(TREASURES)
    spot = r.choice(hides.split('; '))
    look = r.choice([f'{r.choice(lx.COLORS)} {thing}', f'{r.choice(lx.QUALITIES)} {thing}', thing])
    who, he, him, his = helper(r)
    wrong = r.choice([s for row in TREASURES for s in row[1].split('; ') if s != spot])
    text = [f'{up(h.the)} had {a(look)}. {up(h.he)} loved the {thing} very much.',
            f'{day(r)}, the {thing} was gone. {up(h.the)} looked {wrong}, but the {thing} was not there. {up(h.he)} was very sad and began to cry.',
            f'Then {a(who)} came by. "Why are you crying?" asked the {who.split(" with")[0]}. "I lost my {thing}," said {h.the}. '
            f'"Do not worry," said {"the " + who.split(" with")[0]}. "I will help you to look for it."',
            f'They looked everywhere. At last they looked {spot}. There was the {look}! "Thank you!" said {h.the} and gave {him} a big hug.']
    return text, r.choice(['help', 'care'])


def plot_share(r, h):
    food = r.choice(lx.FOODS)
    what = food.split(' of ')[1] if ' of ' in food else food.split(' ', 1)[1]
    who, he, him, his = helper(r)
    short = who.split(' with')[0]
    where = place(r)[1]
    text = [f'{day(r)}, {h.the} got {food}. How good it looked! {up(h.the)} sat down {where} and wanted to eat it all alone.',
            f'Then {a(who)} came along. {up(he)} looked at the {what} and said, "I am so hungry. I have not eaten today."',
            r.choice([f'At first {h.the} did not want to share. But then {h.he} saw how sad the {short} was.',
                      f'{up(h.the)} thought about it. "There is enough for two," {h.he} said to {"itself" if h.he == "it" else h.him + "self"}.']),
            f'"Come and sit with me," said {h.the}. "We can share it." So they ate the {what} together and laughed. Never had anything tasted better.']
    return text, 'share'


def plot_afraid(r, h):
    fear, sign = r.choice([('the dark', 'the light went out'), ('thunder', 'a big storm came'), ('deep water', 'they came to the river'),
                           ('high places', 'they came to a tall tower'), ('loud noises', 'there was a loud bang')])
    who, he, him, his = helper(r)
    short = who.split(' with')[0]
    text = [f'{up(h.the)} was afraid of {fear}.',
            f'{day(r)}, {h.the} was on the way with {a(who)} when {sign}. {up(h.the)} began to shake. "I am so scared," {h.he} said.',
            f'"Take my hand," said the {short}. "Close your eyes and count to three. Then take one small step."',
            f'{up(h.the)} counted: one, two, three. Then {h.he} took one small step, and then one more. Nothing bad happened. '
            f'"I did it!" {h.he} said. The {short} was very proud of {h.him}.']
    return text, 'brave'


def plot_learn(r, h):
    skill, fail = r.choice([('to swim', 'went under and got water in the nose'), ('to sing', 'made a funny noise'), ('to dance', 'fell over'),
                            ('to paint', 'spilled the paint'), ('to bake a cake', 'burned the cake'), ('to climb the big tree', 'slid down again'),
                            ('to whistle', 'only made a small puff'), ('to fly a kite', 'saw the kite fall down'), ('to count to ten', 'forgot the number seven')])
    who, he, him, his = helper(r)
    short = who.split(' with')[0]
    text = [f'{up(h.the)} wanted to learn {skill}.',
            f'{day(r)}, {h.he} tried for the first time, but {h.he} {fail}. Everybody laughed. {up(h.the)} was sad and wanted to stop.',
            f'{up(a(who))} saw it and said, "Do not give up! Nobody can do it the first time. Try it again, and I will show you how."',
            f'So {h.the} tried again the next day, and the day after that. Each time it went a little better. '
            f'At last {h.he} could do it! "Look at me!" {h.he} shouted. The {short} clapped and cheered.']
    return text, 'try'


def plot_friend(r, h):
    other = Hero(r)
    while other.kind == h.kind or other.name is None or other.name == h.name:
        other = Hero(r)
    where = place(r)[1]
    game = r.choice(['hide and seek', 'catch', 'a game with stones', 'in the sand', 'with a ball', 'pirates'])
    text = [f'{up(h.the)} had no friends and felt very lonely.',
            f'{day(r)}, {h.he} went for a walk and met {other.intro} {where}. "Hello," said {other.name}. "Why do you look so sad?"',
            f'"I have nobody to play with," said {h.the}. "Me too!" said {other.name}. "Do you want to play {game}?"',
            f'They played {game} all day long. When the sun went down, {other.name} said, "Let us meet again tomorrow." '
            f'"Yes!" said {h.the}. They met every day after that.']
    return text, 'friend'


def plot_rescue(r, h):
    animal = r.choice(ANIMALS)
    trap = r.choice(['stuck in a deep hole', 'caught in a net', 'lost in the fog', 'sitting on a high branch and could not get down', 'stuck in the mud'])
    tool = r.choice(['a long rope', 'a strong stick', 'a ladder', 'a big basket', 'a warm lamp'])
    text = [f'{day(r)}, {h.the} heard a small voice. "Help! Please help me!" It was {a("little " + animal[0])} that was {trap}.',
            f'"I will help you," said {h.the}. {up(h.he)} tried to reach the {animal[0]}, but it was too far away. {up(h.he)} thought hard.',
            f'Then {h.the} had an idea. {up(h.he)} ran home and came back with {tool}. Slowly and carefully {h.he} helped the {animal[0]} out.',
            f'"{up(animal[2])}!" said the {animal[0]}. "You saved me. Thank you!" As a gift the {animal[0]} showed {h.him} the way to {animal[3]}, '
            f'and they ate {animal[1] if animal[1] not in ("flies", "moths", "meat", "bones") else "cookies"} together.']
    return text, 'friend'


def plot_home(r, h):
    where = place(r)
    who, he, him, his = helper(r)
    short = who.split(' with')[0]
    shiny = r.choice(['a blue butterfly', 'a red balloon', 'a big rainbow', 'a funny bird', 'a shiny beetle'])
    text = [f'{day(r)}, {h.the} was playing {where[1]} and saw {shiny}. {up(h.he)} followed it for a long time.',
            f'Soon {h.the} did not know where {h.he} was. It was getting late. "How do I get home?" {h.he} asked and looked around. Nobody was there.',
            f'Then {h.he} met {a(who)}. "Can you tell me the way?" asked {h.the}. "Of course," said the {short}. '
            f'"Go past the big stone, then turn left at the old tree."',
            f'{up(h.the)} thanked {him} and walked past the big stone and turned left at the old tree. And there was home!']
    return text, r.choice(['help', 'care'])


def plot_grow(r, h):
    plant, grown = r.choice([('a seed', 'a tall sunflower'), ('a bean', 'a long green plant'), ('a small seed', 'a big pumpkin'), ('an apple seed', 'a little apple tree')])
    helper_name, *_ = helper(r)
    text = [f'{day(r)}, {h.the} found {plant}. {up(h.he)} put it into the ground and gave it water.',
            f'The next day {h.the} looked, but there was nothing to see. The day after that there was nothing, too. "It does not work," said {h.the}.',
            f'"You must wait," said {a(helper_name)}. "Good things need time. Give it water every day, and let the sun do the rest."',
            f'So {h.the} waited and gave it water every day. Then, one morning, there was a tiny green leaf! It grew and grew until it was {grown}.']
    return text, 'try'


PLOTS = [plot_lost, plot_lost, plot_share, plot_afraid, plot_learn, plot_friend, plot_rescue, plot_home, plot_grow]


def story(r):
    """-> the hero, the story."""
    hero = Hero(r)
    middle, lesson = r.choice(PLOTS)(r, hero)
    parts = [opening(r, hero), *middle, ending(r, hero, lesson)]
    return hero, '\n\n'.join([f'{parts[0]} {parts[1]}', *parts[2:]])
