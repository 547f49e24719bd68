# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random calls with right and wrong signatures on everything that introspection shows, LLM_FUZZ_CALLS of them.

Each reply has the signature that introspection promises, or is an error with a name of ours or of D-Bus.
Afterwards the broker is the same process with as many descriptors as before and about as much memory, no engine has
been lost, and a prompt gets the answer that it got before.
"""
import collections
import os
import random
import shutil
import sys
import time

from gi.repository import Gio, GLib

import fuzz
import harness as h

CALLS = int(os.environ.get('LLM_FUZZ_CALLS', '3000'))
SEED = int(os.environ.get('LLM_FUZZ_SEED', '1'))
IN_FLIGHT = 64
LONGEST = 6 << 20  # bytes of a call, half more than the service takes
RSS_SLACK = 16 << 20  # the heap has holes; 10^5 calls that lose 170 bytes each show
TYPED = ('org.local.LLM.Error.',) + tuple('org.freedesktop.DBus.Error.' + name for name in (
    'InvalidArgs', 'UnknownMethod', 'UnknownObject', 'UnknownInterface', 'UnknownProperty', 'PropertyReadOnly', 'AccessDenied', 'LimitsExceeded'))
RARE = {'Import': 0.05, 'Delete': 0.02, 'Unload': 0.1, 'Load': 0.2}  # what takes long, or takes the model away from the others
STANDARD = 0.1  # Properties, Peer and their like, which every object has


class Fuzzer:
    def __init__(self, service):
        self.service = service
        self.random = random.Random(SEED)
        with open(os.path.join(os.environ['LLM_MODELS_DIR'], h.MODEL + '.gguf'), 'rb') as f:
            self.model = f.read()
        self.values, self.descriptors = fuzz.Values(self.random), fuzz.Descriptors(self.random, self.model)
        self.connections = []
        self.connections = [self.connect() for _ in range(3)]
        self.target = fuzz.Target(service.connection)
        self.sent = self.waiting = 0
        self.names, self.recent, self.wrong = collections.Counter(), collections.deque(maxlen=40), []
        self.own = collections.defaultdict(list)  # connection -> its request objects
        self.refresh()
        self.values.options_of = self.target.options_of()
        assert self.values.options_of['Generate']['temperature'] == 'd', self.values.options_of

    def connect(self):
        connection = self.service.bus.connect()
        connection.connect('closed', self.on_closed)
        return connection

    def on_closed(self, connection, vanished, error):
        if connection in self.connections:
            self.wrong.insert(0, f'the bus has closed the connection: {error.message if error else vanished}')

    # ---- what there is ----

    def reset_settings(self):
        """What was set may keep models from being loaded or imported."""
        settings = h.NAME + '.Settings'
        keys = list(self.service.call('List', interface=settings)[0])
        for key in keys:
            h.error_name(self.service.call, 'Reset', '(s)', (key,), interface=settings)
        return keys

    def refresh(self):
        keys = self.reset_settings()
        if ('fuzz:latest',) not in [(m[1],) for m in self.service.call('ListModels', '(a{sv})', ({},))[0]]:
            self.bring_model()
        self.target.connection = self.random.choice(self.connections)
        own = self.own[self.target.connection][-3:]
        self.target.refresh(own)
        self.values.paths = self.target.paths + [p for paths in self.own.values() for p in paths[-3:]]
        self.values.words, self.values.keys = self.target.words, keys

    def bring_model(self):
        fds = Gio.UnixFDList.new()
        fd = self.descriptors.memfd(self.model, False)
        fds.append(fd)
        os.close(fd)
        for _ in range(100):  # the quota may be used up for now
            try:
                path = self.service.call('Import', '(ahsa{sv})', ([0], 'fuzz', {}), fds=fds)[0]
                self.service.call('Wait', None, (), path=path, interface=h.NAME + '.Request')
                return
            except GLib.Error as error:
                message = error.message
                h.spin(lambda: True)
                time.sleep(0.1)
        raise AssertionError('the model cannot be imported again: ' + message)

    # ---- one call ----

    def choose(self):
        while True:
            method = self.random.choice(self.target.methods)
            if self.random.random() < RARE.get(method[2], 1) * (1 if method[1].startswith(h.NAME) else STANDARD):
                return method

    def message(self):
        r = self.random
        path, interface, name, signature, result = self.choose()
        which = r.random()
        body = None
        if which < 0.75:
            body = self.values.body(name, signature)
        elif which < 0.85:
            body, result = self.values.wrong_body(signature), None
        else:
            body, result = self.values.body(name, signature), None
            if r.random() < 0.4:
                path = self.values.path()
            elif r.random() < 0.5:
                interface = r.choice([w for w in self.values.words if '.' in w] + [None, 'a.b'])
            else:
                name = r.choice([w for w in self.values.words if '.' not in w] + ['X' * 200])
        if body.get_size() > LONGEST:
            body, result = None, None
        message = Gio.DBusMessage.new_method_call(h.NAME, path, interface, name)
        if body is not None:
            message.set_body(body)
        types = body.get_type_string() if body else '()'
        if 'h' in types or r.random() < 0.02:
            message.set_unix_fd_list(self.descriptors.list())
        if r.random() < 0.1:
            message.set_flags(Gio.DBusMessageFlags.NO_REPLY_EXPECTED)
        return message, f'{path} {interface}.{name}{types}', result

    def send(self):
        connection = self.random.choice(self.connections)
        message, what, result = self.message()
        self.recent.append(what)
        self.sent += 1
        if message.get_flags() & Gio.DBusMessageFlags.NO_REPLY_EXPECTED:
            connection.send_message(message, 0)
            return
        self.waiting += 1
        connection.send_message_with_reply(message, 0, 300000, None, self.on_reply, (connection, what, result))

    def on_reply(self, connection, result, data):
        connection, what, signature = data
        self.waiting -= 1
        try:
            reply = connection.send_message_with_reply_finish(result)
        except GLib.Error as error:
            if connection in self.connections:
                self.wrong.append(f'{what}: {error.message}')
            return
        if reply.get_message_type() == Gio.DBusMessageType.ERROR:
            name = reply.get_error_name()
            self.names[name] += 1
            if not name.startswith(TYPED):
                self.wrong.append(f'{what}: {name}: {reply.get_body()}')
            return
        self.names['-'] += 1
        if signature is not None and reply.get_signature() != signature:
            self.wrong.append(f'{what}: the reply is {reply.get_signature()}, not {signature}')
        if reply.get_signature() == 'o' and '/request/' in reply.get_body().unpack()[0]:
            self.own[connection].append(reply.get_body().unpack()[0])

    # ---- all of them ----

    def drop_connection(self):
        """Closes one with all its calls under way."""
        at = self.random.randrange(len(self.connections))
        old = self.connections[at]
        self.connections[at] = self.connect()
        self.own.pop(old, None)
        old.close_sync(None)

    def send_damaged(self):
        messages = [message for message, _, _ in (self.message() for _ in range(4)) if message.get_unix_fd_list() is None]
        fuzz.raw_burst(self.service.bus.address, messages, self.random)
        self.sent += len(messages)

    def run(self, calls):
        until = self.sent + calls
        while self.sent < until:
            if self.random.random() < 1 / 400:
                self.drop_connection()
            if self.random.random() < 1 / 40:
                self.send_damaged()
            if self.random.random() < 1 / 300:
                self.drain(IN_FLIGHT // 2)
                self.refresh()
            for _ in range(self.random.choice([1, 1, 1, 4, 50])):
                self.send()
            self.drain(IN_FLIGHT)
            if self.wrong:
                time.sleep(0.2)
                self.drain(IN_FLIGHT)
                break
        self.check()

    def drain(self, limit):
        context = GLib.MainContext.default()
        while context.iteration(False):
            pass
        h.spin(lambda: self.waiting <= limit or self.service.process.poll() is not None, 300)

    def check(self):
        assert self.service.process.poll() is None, 'the broker has ended; last calls:\n' + '\n'.join(self.recent)
        assert not self.wrong, '\n'.join(self.wrong[:20]) + '\nlast calls:\n' + '\n'.join(self.recent)

    def finish(self):
        """Nobody's work is under way any more."""
        connections, self.connections = self.connections, []
        for connection in connections:
            connection.close_sync(None)
        h.wait_for(lambda: self.service.statistics()['broker']['requests-live'] == 0)
        self.reset_settings()
        path = self.service.call('GetModel', '(s)', (h.MODEL,))[0]
        self.service.call('Unload', '(a{sv})', ({},), path=path, interface=h.NAME + '.Model')  # it may have been loaded with those
        shutil.rmtree(self.descriptors.folder)


def count_fds(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


def settled(service):
    """An answer, and the broker's descriptors and memory when it has nothing to do."""
    text = service.generate(temperature=0, max_tokens=16)[0]
    h.wait_for(lambda: service.statistics()['broker']['clients'] <= 1)
    return text, count_fds(service.process.pid), service.rss()


def main():
    sanitized = b'__asan_init' in open(os.environ['LLMD'], 'rb').read()
    with h.Service(environment={'G_MESSAGES_DEBUG': ''}) as service:
        owner = service.connection.call_sync('org.freedesktop.DBus', '/', 'org.freedesktop.DBus', 'GetNameOwner', GLib.Variant('(s)', (h.NAME,)), None, 0, -1, None)
        h.error_name(service.call, 'Tokenize', '(ssa{sv})', ('', 'x' * LONGEST, {}))  # GDBus keeps a buffer of its longest message
        warm = Fuzzer(service)
        warm.run(min(CALLS // 4, 2000))
        warm.finish()
        text, fds, rss = settled(service)
        fuzzer = Fuzzer(service)
        began = time.monotonic()
        fuzzer.run(CALLS)
        took = time.monotonic() - began
        fuzzer.finish()
        again, fds_now, rss_now = settled(service)
        print(f'{fuzzer.sent} calls in {took:.0f} s with seed {SEED}; fds {fds} -> {fds_now}, RSS {rss >> 10} -> {rss_now >> 10} KiB')
        print(dict(fuzzer.names.most_common()))
        assert again == text, 'the answer is another one'
        h.wait_for(lambda: count_fds(service.process.pid) <= fds)
        assert sanitized or rss_now <= rss + RSS_SLACK, 'the broker has grown'
        assert service.statistics()['broker']['engine-losses'] == 0, 'an engine was lost'
        now = service.connection.call_sync('org.freedesktop.DBus', '/', 'org.freedesktop.DBus', 'GetNameOwner', GLib.Variant('(s)', (h.NAME,)), None, 0, -1, None)
        assert now.unpack() == owner.unpack()


if __name__ == '__main__':
    sys.exit(main())
