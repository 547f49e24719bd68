# SPDX-License-Identifier: LGPL-2.1-or-later
"""The words and numbers that conversations are filled with, and how they are divided.

Invariant: what can be a fact (a name, a place, a number, a thing in a list) belongs to one split alone, by a hash of its
own text, whatever the seed is.  Closed sets that a schema or a question names (colours, days) are in both.
"""
import functools
import string
import zlib

TRAIN, EVALUATION = 'train', 'evaluation'
STAGES = 3  # of training; evaluation asks as the last one
PARTS = 6  # one part in so many is for evaluation

NAMES = '''Anna Ben Clara David Emma Felix Grace Henry Ida Jonas Karin Leo Maria Nina Oscar Paula Quentin Rosa Simon Tina Ursula Victor Wanda
Xenia Yusuf Zoe Adam Bella Carlos Diana Erik Fatima Gustav Hanna Ivan Julia Kevin Laura Martin Nora Omar Peter Rita Samuel Tom Uma Vera Walter
Yara Zara Alan Beth Chen Dora Elias Frida George Helen Igor Jana Kurt Linda Max Nadia Otto Petra Ravi Sara Theo Viola Wei Yuki Amir Bruno Celia
Dan Elsa Finn Gina Hugo Iris Jack Kate Lars Mona Nils Olga Pablo Rolf Sven Tara Vito Willa Mia Noah Liam Lily Ruth Paul Mark Jane Alice Bob
Eva Frank Greta Heidi Ines Jim Klara Lena Milo Nico Owen Pia Ralf Stella Tim Ulla Vince Wendy Ada Boris Cora Dirk Edith Fred Gerda Hans'''.split()
CITIES = '''Berlin Paris London Rome Madrid Vienna Prague Oslo Lisbon Dublin Athens Warsaw Helsinki Cairo Tokyo Delhi Sydney Boston Chicago
Toronto Lima Nairobi Beijing Shanghai Seoul Hamburg Munich Milan Venice Porto Lyon Zurich Geneva Bern Krakow Bergen Malmo Gdansk Dallas Denver
Seattle Austin Havana Quito Bogota Accra Tunis Dakar Hanoi Manila Jakarta Dubai Kyoto Osaka Riga Tallinn Vilnius Sofia Ghent Bruges'''.split()
COLOURS = 'red blue green yellow orange purple black white brown pink grey silver gold violet'.split()
ANIMALS = 'cat dog rabbit parrot hamster turtle horse goat duck mouse snake pony fish hen lizard'.split()
FOODS = '''pizza soup bread rice cheese pasta salad honey apples pears plums grapes lemons carrots onions beans nuts cake cookies pancakes noodles
tomatoes potatoes cherries melons olives yogurt waffles dumplings mushrooms'''.split()
THINGS = '''apples pens books cups chairs lamps stones shells coins stamps boxes plates spoons forks keys bags hats shoes socks balls kites
candles bottles pencils ropes nails bricks tables mirrors clocks baskets ribbons buttons marbles spades'''.split()
JOBS = 'doctor teacher baker farmer painter pilot nurse driver singer lawyer cook judge writer tailor miner sailor'.split()
DAYS = 'Monday Tuesday Wednesday Thursday Friday Saturday Sunday'.split()
MONTHS = 'January February March April May June July August September October November December'.split()
ONSETS = 'b c d f g h j k l m n p r s t v w z br dr gr kl pl st tr sh th'.split()
VOWELS = 'a e i o u a e i o ai ea'.split()
CODAS = ['', '', '', 'n', 'r', 'l', 's', 'm', 'k', 't']
# By stage: what part is from the lists, the rest is made up; and what part of that is glued of pieces of words, for any spelling.
REAL = {'name': (0.6, 0.6, 0.45), 'city': (0.7, 0.7, 0.45), 'thing': (0.85, 0.85, 0.5), 'food': (0.85, 0.85, 0.5)}
GLUED = (0, 0, 0.65)


def held_out(text):
    """This text is for evaluation, in every corpus."""
    return zlib.crc32(str(text).encode()) % PARTS == 0


@functools.lru_cache(None)
def division(words):
    return {TRAIN: [w for w in words if not held_out(w)], EVALUATION: [w for w in words if held_out(w)]}


@functools.lru_cache(None)
def pieces():
    """Two to four letters that stand together in a word of the training split, and all single ones."""
    words = [w.lower() for w in division(tuple(NAMES + CITIES + FOODS + THINGS))[TRAIN]]
    return sorted({w[i:i + n] for w in words for n in (2, 3, 4) for i in range(len(w) - n + 1)} | set(string.ascii_lowercase))


class Pools:
    """What one conversation draws from: a random generator and the words of its split."""

    def __init__(self, r, split, stage=STAGES):
        self.r, self.split, self.stage = r, split, stage
        self.used = set()

    def mine(self, text):
        return held_out(text) == (self.split == EVALUATION)

    def pick(self, words):
        """One of those of @words that are this split's, not one that this conversation has already."""
        left = [w for w in division(tuple(words))[self.split] if w not in self.used]
        if not left:
            return self.made_up().lower()
        word = self.r.choice(left)
        self.used.add(word)
        return word

    def made_up(self):
        """A name that nobody has: copying it needs the copying, not the knowing."""
        while True:
            if GLUED[self.stage - 1] and self.r.random() < GLUED[self.stage - 1]:
                word = ''.join(self.r.choice(pieces()) for _ in range(self.r.choice((2, 2, 3))))
            else:
                n = self.r.choice((2, 2, 3))
                word = ''.join(self.r.choice(ONSETS) + self.r.choice(VOWELS) for _ in range(n)) + self.r.choice(CODAS)
            if self.mine(word.capitalize()) and word.capitalize() not in self.used:
                self.used.add(word.capitalize())
                return word.capitalize()

    def real(self, kind):
        return self.r.random() < REAL[kind][self.stage - 1]

    def name(self):
        return self.pick(NAMES) if self.real('name') else self.made_up()

    def city(self):
        return self.pick(CITIES) if self.real('city') else self.made_up()

    def thing(self):
        return self.pick(THINGS) if self.real('thing') else self.made_up().lower()

    def food(self):
        return self.pick(FOODS) if self.real('food') else self.made_up().lower()

    def colour(self):
        return self.shared(COLOURS)

    def shared(self, words):
        """From a closed set: in both splits, but once in a conversation."""
        word = self.r.choice([w for w in words if w not in self.used])
        self.used.add(word)
        return word

    def number(self, low, high):
        """A number that is this split's; ranges of fewer than 30 are shared."""
        while True:
            n = self.r.randint(low, high)
            if high - low < 30 or self.mine(n):
                return n

    def clock(self):
        while True:
            time = f'{self.r.randint(7, 21)}:{self.r.randrange(0, 60, 5):02}'
            if self.mine(time):
                return time
