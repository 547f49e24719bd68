# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fields of a sentence as JSON, after a schema in the question.

The schema's properties come in any order and often without some of them; the answer has them in the schema's order, so
that each key can be copied from the schema and its value from the sentence.
"""
import json

from .frame import system
from ..pools import ANIMALS, DAYS, JOBS
from ..talk import Talk, compact

STRING, INTEGER = 'string', 'integer'
# kind: fields (name: type), sentences
KINDS = {
    'person': ({'name': STRING, 'age': INTEGER, 'city': STRING},
               ['{name} is {age} years old and lives in {city}.', '{name} lives in {city} and is {age} years old.', 'In {city} there is {name}, who is {age}.',
                'My name is {name}, I am {age} and I live in {city}.', '{name}, {age}, comes from {city}.']),
    'worker': ({'name': STRING, 'job': STRING, 'city': STRING},
               ['{name} works as a {job} in {city}.', '{name} is a {job} from {city}.', 'The {job} {name} lives in {city}.', 'In {city}, {name} is a {job}.']),
    'order': ({'customer': STRING, 'item': STRING, 'quantity': INTEGER},
              ['{customer} orders {quantity} {item}.', '{customer} would like to buy {quantity} {item}.', 'Please send {quantity} {item} to {customer}.',
               'An order of {quantity} {item} came from {customer}.', '{quantity} {item} for {customer}, please.']),
    'meeting': ({'with': STRING, 'day': STRING, 'time': STRING},
                ['I meet {with} on {day} at {time}.', 'On {day} at {time} I have a meeting with {with}.', 'The meeting with {with} is on {day} at {time}.',
                 '{with} comes on {day} at {time}.']),
    'pet': ({'owner': STRING, 'animal': STRING, 'name': STRING},
            ['{owner} has a {animal} called {name}.', 'The {animal} of {owner} is called {name}.', '{name} is the {animal} of {owner}.']),
    'trip': ({'from': STRING, 'to': STRING, 'day': STRING},
             ['I travel from {from} to {to} on {day}.', 'On {day} we go from {from} to {to}.', 'The train from {from} to {to} leaves on {day}.']),
    'price': ({'item': STRING, 'price': INTEGER, 'colour': STRING},
              ['The {colour} {item} cost {price} euros.', 'For {price} euros you get {colour} {item}.', 'I paid {price} euros for the {colour} {item}.']),
    'room': ({'name': STRING, 'room': INTEGER, 'floor': INTEGER},
             ['{name} is in room {room} on floor {floor}.', 'Room {room} on floor {floor} belongs to {name}.', 'You find {name} on floor {floor} in room {room}.']),
}
ASK = ['Extract the fields as JSON.\nSchema: {s}\nText: {t}', 'Give me JSON for this schema: {s}\n{t}', '{t}\n\nWrite that as JSON with this schema:\n{s}',
       'Schema:\n{s}\n\nSentence:\n{t}\n\nAnswer with JSON only.', 'Fill in this schema from the text.\n{s}\nText: {t}']
ASK_FIELDS = ['Extract {f} as JSON: {t}', '{t}\nGive me {f} as JSON.', 'As JSON with the fields {f}: {t}']
AS_SYSTEM = ['Answer with JSON of this schema: {s}', 'You extract data. The answer is always JSON with this schema:\n{s}']


def values(p, fields):
    makers = {'name': p.name, 'with': p.name, 'owner': p.name, 'customer': p.name, 'city': p.city, 'from': p.city, 'to': p.city, 'age': lambda: p.number(1, 99),
              'quantity': lambda: p.number(2, 99), 'price': lambda: p.number(1, 500), 'room': lambda: p.number(1, 400), 'floor': lambda: p.number(1, 12),
              'item': lambda: p.r.choice((p.thing, p.food))(), 'day': lambda: p.shared(DAYS), 'time': p.clock, 'job': lambda: p.shared(JOBS),
              'animal': lambda: p.shared(ANIMALS), 'colour': p.colour}
    return {field: makers[field]() for field in fields}


def schema(fields, types):
    return {'type': 'object', 'properties': {f: {'type': types[f]} for f in fields}, 'required': list(fields)}


def wanted(p, types):
    fields = list(types)
    p.r.shuffle(fields)
    return fields[:p.r.choice((2, 3, 3, 3))]


def talk(p):
    r = p.r
    types, sentences = KINDS[r.choice(sorted(KINDS))]
    fields = wanted(p, types)
    shape = compact(schema(fields, types))
    if r.random() < 0.2:
        t, ask = Talk('json', r.choice(AS_SYSTEM).format(s=shape)), '{t}'
    else:
        t, ask = Talk('json', system(p)), r.choice(ASK if r.random() < 0.8 else ASK_FIELDS)
    for _ in range(r.choice((1, 1, 1, 2)) if ask == '{t}' else 1):
        facts = values(p, types)
        text = r.choice(sentences).format(**facts)
        answer = compact({f: facts[f] for f in fields})
        t.say(ask.format(s=shape, t=text, f=', '.join(fields)), answer, 'json', json.loads(answer))
    return t
