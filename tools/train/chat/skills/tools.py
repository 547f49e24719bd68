# SPDX-License-Identifier: LGPL-2.1-or-later
"""Choosing a function and filling in its arguments; answering after its result; not calling one when none fits.

Each function has several names and wordings and stands among one to three others in any order, so that the choice has
to be read off the list in the system message.
"""
from . import numbers, smalltalk
from .frame import SYSTEMS
from ..pools import DAYS
from ..talk import Talk, call_text, compact, response_text, tools_text

STRING, INTEGER = 'string', 'integer'


class Function:
    def __init__(self, names, about, parameters, asks, result, answer):
        """@parameters: name -> (type, maker of Pools); @result: (pools) -> dict; @answer: text of arguments and result."""
        self.names, self.about, self.parameters, self.asks, self.result, self.answer = names.split(), about, parameters, asks, result, answer

    def schema(self, name):
        properties = {k: {'type': kind} for k, (kind, _) in self.parameters.items()}
        return {'type': 'function', 'function': {'name': name, 'description': self.about,
                                                 'parameters': {'type': 'object', 'properties': properties, 'required': list(properties)}}}


def sky(p):
    return p.r.choice(['sunny', 'cloudy', 'rainy', 'windy', 'foggy', 'snowy'])


FUNCTIONS = [
    Function('get_weather weather current_weather', 'The weather in a city', {'city': (STRING, lambda p: p.city())},
             ['What is the weather in {city}?', 'How is the weather in {city} today?', 'Is it raining in {city}?', 'Tell me the weather in {city}.'],
             lambda p: {'sky': sky(p), 'degrees': p.number(1, 39)}, 'It is {sky} in {city}, {degrees} degrees.'),
    Function('get_time city_time clock', 'The time in a city', {'city': (STRING, lambda p: p.city())},
             ['What time is it in {city}?', 'How late is it in {city}?', 'Tell me the time in {city}.'],
             lambda p: {'time': p.clock()}, 'It is {time} in {city}.'),
    Function('set_alarm alarm wake_up', 'Sets an alarm', {'time': (STRING, lambda p: p.clock())},
             ['Set an alarm for {time}.', 'Wake me up at {time}.', 'I need an alarm at {time}.'],
             lambda p: {'ok': True}, 'The alarm is set for {time}.'),
    Function('set_timer start_timer timer', 'Starts a timer', {'minutes': (INTEGER, lambda p: p.number(1, 90))},
             ['Set a timer for {minutes} minutes.', 'Start a timer of {minutes} minutes.', 'Tell me when {minutes} minutes are over.'],
             lambda p: {'ok': True}, 'The timer runs for {minutes} minutes.'),
    Function('send_message message_to text_person', 'Sends a message to a person', {'to': (STRING, lambda p: p.name()), 'text': (STRING, lambda p: saying(p))},
             ['Send {to} a message: {text}', 'Write to {to}: {text}', 'Tell {to}: {text}'],
             lambda p: {'sent': True}, 'I sent the message to {to}.'),
    Function('call_person phone make_call', 'Calls a person by phone', {'name': (STRING, lambda p: p.name())},
             ['Call {name}.', 'Please phone {name}.', 'I want to talk to {name} on the phone.'],
             lambda p: {'answered': p.r.random() < 0.5}, None),
    Function('play_music play_song music', 'Plays music of an artist', {'artist': (STRING, lambda p: p.name())},
             ['Play music by {artist}.', 'Play something by {artist}.', 'I want to hear {artist}.'],
             lambda p: {'ok': True}, 'Now you hear {artist}.'),
    Function('add_event create_event calendar_add', 'Adds an event to the calendar', {'title': (STRING, lambda p: event(p)), 'day': (STRING, lambda p: p.shared(DAYS))},
             ['Add {title} to my calendar on {day}.', 'Put {title} into the calendar for {day}.', 'I have {title} on {day}, please write that down.'],
             lambda p: {'ok': True}, '{title} is in your calendar on {day}.'),
    Function('add_to_list shopping_add buy_later', 'Adds a thing to the shopping list', {'item': (STRING, lambda p: p.r.choice((p.food, p.thing))()), 'count': (INTEGER, lambda p: p.number(2, 60))},
             ['Add {count} {item} to the shopping list.', 'Put {count} {item} on my shopping list.', 'I need to buy {count} {item}.'],
             lambda p: {'ok': True}, '{count} {item} are on your shopping list.'),
    Function('find_contact get_phone lookup_number', 'Finds the phone number of a person', {'name': (STRING, lambda p: p.name())},
             ['What is the phone number of {name}?', 'Find the number of {name}.', 'Which phone number does {name} have?'],
             lambda p: {'phone': str(p.number(1000, 99999))}, 'The phone number of {name} is {phone}.'),
    Function('get_distance distance how_far', 'The distance between two cities', {'from': (STRING, lambda p: p.city()), 'to': (STRING, lambda p: p.city())},
             ['How far is it from {from} to {to}?', 'What is the distance from {from} to {to}?', 'How many kilometres are there from {from} to {to}?'],
             lambda p: {'kilometres': p.number(10, 9000)}, 'From {from} to {to} it is {kilometres} kilometres.'),
    Function('set_light light_colour lamp', 'Changes the colour of the light in a room', {'room': (STRING, lambda p: room(p)), 'colour': (STRING, lambda p: p.colour())},
             ['Make the light in the {room} {colour}.', 'Turn the {room} light {colour}.', 'I want {colour} light in the {room}.'],
             lambda p: {'ok': True}, 'The light in the {room} is {colour} now.'),
    Function('set_temperature heating thermostat', 'Sets the heating of a room', {'room': (STRING, lambda p: room(p)), 'degrees': (INTEGER, lambda p: p.number(12, 28))},
             ['Set the {room} to {degrees} degrees.', 'Heat the {room} to {degrees} degrees.', 'I want {degrees} degrees in the {room}.'],
             lambda p: {'ok': True}, 'The {room} will have {degrees} degrees.'),
    Function('find_book search_book library', 'Finds books of an author', {'author': (STRING, lambda p: p.name())},
             ['Find books by {author}.', 'Which books did {author} write?', 'Search for books of {author}.'],
             lambda p: {'books': p.number(1, 60)}, 'I found {books} books by {author}.'),
]
ROOMS = ['kitchen', 'bathroom', 'bedroom', 'office', 'hall', 'garage', 'cellar', 'living room']
SAYINGS = ['I am late', 'see you on {day}', 'bring {thing}', 'we eat {food}', 'call me at {time}', 'thank you', 'I am in {city}']
EVENTS = ['lunch with {name}', 'tennis', 'a meeting with {name}', 'dinner', 'a trip to {city}', 'the birthday of {name}', 'swimming']


def room(p):
    return p.shared(ROOMS)


def saying(p):
    return p.r.choice(SAYINGS).format(day=p.r.choice(DAYS), thing=p.thing(), food=p.food(), time=p.clock(), city=p.city())


def event(p):
    return p.r.choice(EVENTS).format(name=p.name(), city=p.city())


def call(p, t, f, name, with_result):
    """One question, the call, and perhaps the result and what the assistant says to it."""
    arguments = {k: maker(p) for k, (_, maker) in f.parameters.items()}
    t.say(p.r.choice(f.asks).format(**arguments), call_text(name, arguments), 'tool', {'name': name, 'arguments': arguments})
    if not with_result:
        return
    result = f.result(p)
    if f.answer is None:
        text = f'{arguments["name"]} answered the call.' if result['answered'] else f'{arguments["name"]} did not answer.'
    else:
        text = f.answer.format(**arguments, **result)
    expected = [str(v) for v in result.values() if not isinstance(v, bool)] or [text]
    t.say(response_text(compact(result)), text[:1].upper() + text[1:], 'has', *expected)


def talk(p):
    r = p.r
    chosen = r.sample(FUNCTIONS, r.choice((1, 2, 2, 3, 3)))
    names = [r.choice(f.names) for f in chosen]
    system = tools_text([f.schema(name) for f, name in zip(chosen, names)])
    t = Talk('tools', (r.choice(SYSTEMS) + '\n\n' if r.random() < 0.3 else '') + system)
    for _ in range(r.choice((1, 2, 3, 4))):
        if r.random() < 0.12:
            question, answer = smalltalk.turn(p) if r.random() < 0.6 else numbers.one_sum(p)[:2]
            t.say(question, answer, 'is', answer)
        i = r.randrange(len(chosen))
        p.used.clear()
        call(p, t, chosen[i], names[i], r.random() < 0.5)
    return t
