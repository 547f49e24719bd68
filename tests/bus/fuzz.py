# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a hostile client sends: values for any D-Bus signature, descriptors of every kind, calls made of them.

All comes from one random.Random, so that a seed says what was sent.
"""
import errno
import os
import re
import select
import socket
import tempfile

from gi.repository import Gio, GLib

import harness as h

INTEGERS = {'y': (0, 255), 'n': (-(1 << 15), (1 << 15) - 1), 'q': (0, (1 << 16) - 1), 'i': (-(1 << 31), (1 << 31) - 1), 'u': (0, (1 << 32) - 1),
            'x': (-(1 << 63), (1 << 63) - 1), 't': (0, (1 << 64) - 1)}
DOUBLES = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 2.0000001, 100.0, 1e-310, 1e308, float('inf'), float('-inf'), float('nan')]
NUMBERS = [0, 1, 2, 3, 16, 17, 20, 21, 64, 127, 128, 255, 256, 1024, 1025, 4096, 65535, 65536, 86400001, 1 << 21, (1 << 24) + 1]
TEXTS = ['', 'a', h.PROMPT, 'user', 'assistant', 'system', 'tool', 'role', 'content', '../..', '/', 'a:b:c', 'fuzz', 'fuzz:latest', h.MODEL, '%s%n%p', '\u20ac' * 40,
         '<|im_end|>', '</s>', '\x01\x7f', '\ufffd\U0010ffff', 'e\u0301' * 20, ' \t\r\n', '-1', 'NaN', '{}', '[' * 200, h.NAME, h.PATH, 'org.freedesktop.DBus.Properties']
RIGHT = {  # values that an option of a type mostly takes
    'd': (0.0, 0.1, 0.5, 1.0, 2.0), 'u': (0, 1, 2, 20, 1024), 't': (0, 1, (1 << 64) - 1), 'b': (True, False), 's': ('a', 'x' * 64, 'mean', 'chat', 'llama', 'fuzz'),
    'as': ([], ['a'], ['the', '\n'] * 8), 'a{ud}': ({}, {1: 100.0}, {0: -100.0, 511: 3.0}), 'x': (0, 1), 'i': (0, 1),
}
UNKNOWN = re.compile(r'known are ([a-z, -]+)')
NEEDED = re.compile(r'\(([a-z{}]+)\) (?:is|are) needed')

class Values:
    """GVariants for a signature."""

    def __init__(self, random):
        self.random = random
        self.paths = [h.PATH]  # what o and s may name
        self.words = []        # interfaces, properties, methods
        self.keys = []         # of settings
        self.method = None     # what is called
        self.options_of = {}   # method -> its options and their types
        self.left = 0          # values that a message may still get: they nest

    def text(self):
        r = self.random
        which = r.random()
        if which < 0.6 or self.left <= 0:
            return r.choice(self.keys if self.method in ('Get', 'Set', 'Reset', 'Describe') and r.random() < 0.8 else TEXTS + self.words)
        if which < 0.75:
            return r.choice(self.paths)
        if which < 0.9:
            return ''.join(chr(r.choice([r.randrange(1, 128), r.randrange(1, 0x800), r.randrange(0xe000, 0x10000)])) for _ in range(r.randrange(40)))
        self.left -= 100  # one of them in a message: more would be none to the bus
        return (r.choice(TEXTS[1:]) * r.choice([10, 100, 1000, 10000] + [100000] * (r.random() < 0.05)))[:5 << 20]

    def path(self):
        r = self.random
        if r.random() < 0.7:
            return r.choice(self.paths)
        return '/' + '/'.join(r.choice(['org', 'local', 'LLM', 'model', 'request', 'device', '1_1', '_', 'a' * 200, '0']) for _ in range(r.randrange(1, 6)))

    def integer(self, kind):
        low, high = INTEGERS[kind]
        r = self.random
        value = r.choice(NUMBERS + [low, high, low + 1, high - 1]) if r.random() < 0.8 else r.randint(low, high)
        return GLib.Variant(kind, min(max(value, low), high))

    def signature(self, depth=0):
        r = self.random
        if depth > 2 or r.random() < 0.7:
            return r.choice('ybnqiuxtdsogv')
        inner = lambda: self.signature(depth + 1)
        return r.choice([lambda: 'a' + inner(), lambda: '(' + inner() + inner() + ')', lambda: 'a{s' + inner() + '}', lambda: 'a{sv}', lambda: 'aa{sv}'])()

    def options(self):
        r, out, known = self.random, {}, self.options_of.get(self.method, {})
        if 'max-tokens' in known and r.random() < 0.97:
            out['max-tokens'] = GLib.Variant('u', r.randrange(1, 4))  # else most of the time would go into answers
        for _ in range(self.count([0, 0, 1, 1, 2, 3, 8])):
            if known and r.random() < 0.95:
                key = r.choice(list(known))
                kind, right = known[key], RIGHT.get(known[key])
                out[key] = GLib.Variant(kind, r.choice(right)) if right and r.random() < 0.8 else self.value(kind if r.random() < 0.5 else self.signature())
            elif r.random() < 0.1:
                out[self.text()] = self.value(self.signature())
        return GLib.Variant('a{sv}', out)

    def messages(self):
        r, out = self.random, []
        for _ in range(self.count([0, 1, 1, 2, 3, 5])):
            message = {'role': GLib.Variant('s', 'user' if r.random() < 0.8 else r.choice(TEXTS[3:7])), 'content': GLib.Variant('s', self.text())}
            if r.random() < 0.05:
                message[r.choice(['role', 'content', 'name', self.text()])] = self.value(self.signature())
            out.append(message)
        return GLib.Variant('aa{sv}', out)

    def count(self, choices):
        return self.random.choice(choices) if self.left > 0 else 0

    def value(self, signature, depth=0):
        r = self.random
        self.left -= 1
        if signature in INTEGERS:
            return self.integer(signature)
        if signature == 'd':
            return GLib.Variant('d', r.choice(DOUBLES) if r.random() < 0.8 else r.uniform(-3, 3))
        if signature == 'b':
            return GLib.Variant('b', r.random() < 0.5)
        if signature == 's':
            return GLib.Variant('s', self.text())
        if signature == 'o':
            return GLib.Variant('o', self.path())
        if signature == 'g':
            return GLib.Variant('g', self.signature())
        if signature == 'h':
            return GLib.Variant('h', r.choice([0, 0, 0, 1, 2, 255, (1 << 31) - 1]))
        if signature == 'v':
            return GLib.Variant('v', self.value(self.signature(depth + 1) if depth < 3 else 's', depth + 1))
        if signature == 'a{sv}':
            return self.options()
        if signature == 'aa{sv}':
            return self.messages()
        return self.container(signature, depth)

    def container(self, signature, depth):
        r, builder = self.random, GLib.VariantBuilder.new(GLib.VariantType.new(signature))
        if signature[0] == 'a':
            item = signature[1:]
            for _ in range(self.count([0, 1, 2, 3, 17]) if depth or r.random() < 0.97 else r.choice([1025, 5000])):
                builder.add_value(self.entry(item, depth) if item[0] == '{' else self.value(item, depth + 1))
        else:
            for item in items(signature):
                builder.add_value(self.value(item, depth + 1))
        return builder.end()

    def entry(self, signature, depth):
        key, value = items(signature)
        return GLib.Variant.new_dict_entry(self.value(key, depth + 1), self.value(value, depth + 1))

    def argument(self, name, signature):
        """A model that there is, a property of an interface: what gets further than any text."""
        r = self.random
        if r.random() < 0.25 or signature != 's':
            return self.value(signature)
        if name == 'model':
            return GLib.Variant('s', r.choice(['', h.MODEL, 'fuzz', 'fuzz:latest']))
        if name == 'name':
            return GLib.Variant('s', 'fuzz')
        return GLib.Variant('s', r.choice([w for w in self.words if ('.' in w) == (name == 'interface_name')]) if self.words else '')

    def body(self, method, arguments):
        """A tuple of what a method asks for."""
        self.method = method
        self.left = 100
        return GLib.Variant.new_tuple(*[self.argument(*argument) for argument in arguments])

    def wrong_body(self, arguments):
        self.left = 100
        r, parts = self.random, [signature for _, signature in arguments]
        for _ in range(r.randrange(1, 3)):
            at = r.randrange(len(parts) + 1)
            if parts and r.random() < 0.5:
                parts[at % len(parts)] = self.signature()
            elif parts and r.random() < 0.5:
                del parts[at % len(parts)]
            else:
                parts.insert(at, self.signature())
        return GLib.Variant.new_tuple(*[self.value(item) for item in parts])


def one_type(signature, at):
    """The end of the type that begins at @at."""
    if signature[at] == 'a':
        return one_type(signature, at + 1)
    if signature[at] not in '({':
        return at + 1
    at += 1
    while signature[at] not in ')}':
        at = one_type(signature, at)
    return at + 1


def items(signature):
    """The item signatures of a tuple or a dictionary entry."""
    out, at = [], 1
    while signature[at] not in ')}':
        end = one_type(signature, at)
        out.append(signature[at:end])
        at = end
    return out


class Descriptors:
    """File descriptors of every kind. Each call makes new ones; who asks closes them."""

    def __init__(self, random, model):
        self.random, self.model = random, model
        self.folder = tempfile.mkdtemp(prefix='llm-fds-')

    def memfd(self, content, write=True):
        fd = os.memfd_create('fuzz', os.MFD_CLOEXEC)
        os.write(fd, content)
        if write:
            return fd
        other = os.open(f'/proc/self/fd/{fd}', os.O_RDONLY)
        os.close(fd)
        return other

    def pipe(self, which):
        ends = os.pipe()
        os.close(ends[1 - which])
        return ends[which]

    def socket(self):
        a, b = socket.socketpair()
        b.close()
        return a.detach()

    def listener(self):
        s = socket.socket(socket.AF_UNIX)
        s.bind('\0llm-fuzz-%d-%d' % (os.getpid(), self.random.randrange(1 << 40)))
        s.listen(1)
        return s.detach()

    def epoll(self):
        e = select.epoll()
        fd = os.dup(e.fileno())
        e.close()
        return fd

    def file(self, flags):
        path = os.path.join(self.folder, 'file')
        open(path, 'a').close()
        return os.open(path, flags)

    def one(self):
        r = self.random
        head = self.model[:r.choice([0, 4, 24, 100, 4096, 65536])]
        damaged = bytearray(head)
        for _ in range(r.randrange(4)):
            if damaged:
                damaged[r.randrange(len(damaged))] = r.randrange(256)
        return r.choice([
            lambda: self.memfd(b''), lambda: self.memfd(head), lambda: self.memfd(bytes(damaged), False), lambda: self.memfd(os.urandom(100)),
            lambda: self.pipe(0), lambda: self.pipe(1), self.socket, self.listener, self.epoll,
            lambda: os.open('/dev/null', os.O_RDWR), lambda: os.open('/dev/full', os.O_RDWR), lambda: os.open('/dev/zero', os.O_RDONLY),
            lambda: os.open('/', os.O_RDONLY | os.O_DIRECTORY), lambda: os.open('/', os.O_PATH), lambda: os.open('/proc/self/mem', os.O_RDWR),
            lambda: self.file(os.O_RDWR), lambda: self.file(os.O_WRONLY | os.O_APPEND), lambda: self.file(os.O_RDONLY), lambda: self.file(os.O_PATH),
            lambda: os.eventfd(0, os.EFD_CLOEXEC), lambda: os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY),
        ])()

    def list(self):
        """At most 8: libdbus drops who has more than 16 in two messages that it reads at once."""
        out = Gio.UnixFDList.new()
        for _ in range(self.random.choice([0, 1, 1, 1, 2, 8])):
            try:
                fd = self.one()
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.ENODEV):  # a container may lack a device, or what is behind it
                    raise
                continue
            out.append(fd)  # duplicates it
            os.close(fd)
        return out


def raw_burst(address, messages, random):
    """Sends messages with a few bits turned over, as no binding would; most make the bus hang up, the others arrive."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(address.replace('unix:path=', ''))
        s.sendall(b'\0AUTH EXTERNAL ' + str(os.getuid()).encode().hex().encode() + b'\r\n')
        assert s.recv(1000).startswith(b'OK')
        s.sendall(b'BEGIN\r\n')
        hello = Gio.DBusMessage.new_method_call('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'Hello')
        for serial, message in enumerate([hello] + messages, 1):
            message.set_serial(serial)
            blob = bytearray(message.to_blob(Gio.DBusCapabilityFlags.NONE))
            if message is not hello and random.random() < 0.7:
                blob[random.randrange(16, len(blob))] ^= 1 << random.randrange(8)
            try:
                s.sendall(blob)
            except OSError:  # it has
                return
        try:
            s.recv(4096)
        except OSError:
            pass


class Target:
    """What can be called: (path, interface, method, [(name, signature)] in, signature out), from introspection."""

    def __init__(self, connection):
        self.connection = connection
        self.methods, self.paths, self.words = [], [], []

    def visit(self, path):
        try:
            xml = self.connection.call_sync(h.NAME, path, 'org.freedesktop.DBus.Introspectable', 'Introspect', None, None, 0, 60000, None).unpack()[0]
        except GLib.Error:
            return  # a request that has ended
        node = Gio.DBusNodeInfo.new_for_xml(xml)
        self.paths.append(path)
        for interface in node.interfaces:
            self.words += [interface.name] + [p.name for p in interface.properties] + [m.name for m in interface.methods]
            for method in interface.methods:
                self.methods.append((path, interface.name, method.name, [(a.name, a.signature) for a in method.in_args], ''.join(a.signature for a in method.out_args)))
        for child in node.nodes:
            self.visit(path.rstrip('/') + '/' + child.path)

    def error(self, method, options):
        path, interface, name, arguments, _ = method
        simple = {'s': lambda: GLib.Variant('s', ''), 'a{sv}': lambda: GLib.Variant('a{sv}', options), 'h': lambda: GLib.Variant('h', 0)}
        body = GLib.Variant.new_tuple(*[simple.get(s, lambda: GLib.VariantBuilder.new(GLib.VariantType.new(s)).end())() for _, s in arguments])
        fds = Gio.UnixFDList.new()
        with open('/dev/null') as null:
            fds.append(null.fileno())
        try:
            self.connection.call_with_unix_fd_list_sync(h.NAME, path, interface, name, body, None, 0, 60000, fds, None)
        except GLib.Error as error:
            return error.message
        return ''

    def options_of(self):
        """The options of each method, as its errors tell: which are known, and what type is needed."""
        out = {}
        for method in self.methods:
            if not method[1].startswith(h.NAME) or method[3][-1:] != [('options', 'a{sv}')] and method[3][-1:] != [('filter', 'a{sv}')] or method[2] in out:
                continue
            known = UNKNOWN.search(self.error(method, {'?': GLib.Variant('b', True)}))
            keys = known.group(1).split(', ') if known else []
            needed = {key: NEEDED.search(self.error(method, {key: GLib.Variant('(y)', (1,))})) for key in keys}
            out[method[2]] = {key: m.group(1) for key, m in needed.items() if m}
        return out

    def refresh(self, own_paths):
        self.methods, self.paths, self.words = [], [], []
        self.visit(h.PATH)
        for path in own_paths:
            self.visit(path)
        self.words = sorted(set(self.words))
