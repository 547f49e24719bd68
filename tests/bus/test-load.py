# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many at once, readers that stop, callers that die, engines that are killed."""
import os
import signal
import subprocess
import sys
import time
import unittest

from gi.repository import Gio, GLib

import harness as h

CLIENTS = 32
CHILD = '''
import sys; sys.path.insert(0, sys.argv[1])
import harness as h, os, time
from gi.repository import Gio, GLib
flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
c = Gio.DBusConnection.new_for_address_sync(sys.argv[2], flags, None, None)
for _ in range(int(sys.argv[3])):
    c.call_sync(h.NAME, h.PATH, h.NAME, 'Stream', GLib.Variant('(saa{sv}a{sv})', ('', h.user(h.PROMPT), h.v(logprobs=20, **h.ENDLESS))), None, 0, h.PATIENCE * 1000, None)
print('ready', flush=True)
time.sleep(600)
'''


class Load(unittest.TestCase):
    def setUp(self):
        self.service = h.Service(environment={'LLM_CPU_ISA': 'scalar'})

    def tearDown(self):
        self.service.__exit__(*sys.exc_info())

    def child(self, streams):
        here = os.path.dirname(os.path.abspath(__file__))
        child = subprocess.Popen([sys.executable, '-c', CHILD, here, self.service.bus.address, str(streams)], stdout=subprocess.PIPE, text=True)
        self.assertEqual(child.stdout.readline(), 'ready\n')
        return child

    def live(self):
        return self.service.statistics()['broker']['requests-live']

    def test_32_clients_get_what_they_get_alone(self):
        prompts = [f'Once upon a time, there was a {w}' for w in ('cat', 'dog', 'girl', 'boy', 'fox', 'tree', 'king', 'boat')] * (CLIENTS // 8)
        options = [dict(temperature=0, max_tokens=24) if i % 2 else dict(seed=i, max_tokens=24, temperature=1.0) for i in range(CLIENTS)]
        alone = [self.service.generate(p, **o)[0] for p, o in zip(prompts, options)]
        connections = [self.service.bus.connect() for _ in range(CLIENTS)]
        streams = [h.Stream(self.service, h.user(p), connection=c, **o) for p, o, c in zip(prompts, options, connections)]
        for stream, text in zip(streams, alone):
            self.assertEqual(stream.wait()[0], '')
            self.assertEqual(stream.text, text)
        engine = self.service.statistics()['engine']
        self.assertGreater(engine['batch-rows'], engine['steps'])  # they shared steps
        self.assertGreater(len(set(alone)), 8)

    def test_stopped_reader_hurts_only_itself(self):
        child = self.child(8)
        child.send_signal(signal.SIGSTOP)
        stopped, rss = time.monotonic(), self.service.rss
        self.service.generate(max_tokens=20)
        before = rss()
        for _ in range(5):
            self.assertEqual(self.service.generate(max_tokens=20)[1]['output-tokens'], 20)
        self.assertLess(rss() - before, 64 << 20)
        decoded = lambda: self.service.statistics()['engine']['tokens-decoded']
        last, same = -1, 0
        while same < 20:  # until nothing is made any more
            now = decoded()
            last, same = now, same + 1 if now == last else 0
            time.sleep(0.05)
        if time.monotonic() - stopped < 25:  # after 30 it is given up
            self.assertGreater(self.live(), 0, 'the answers for the stopped reader were made all the same')
        child.kill()
        child.wait()
        h.wait_for(lambda: self.live() == 0)

    def test_killed_caller_is_freed(self):
        self.service.generate(max_tokens=1)  # the model is there when the caller comes
        child = self.child(20)
        self.assertGreater(self.live(), 0)
        h.wait_for(lambda: self.service.statistics()['engine'].get('tokens-decoded', 0) > 20)  # they are in full swing
        child.kill()
        child.wait()
        start = time.monotonic()
        h.wait_for(lambda: self.live() == 0)
        spent = time.monotonic() - start
        print(f'freed after {spent * 1000:.0f} ms')  # 200 on a quiet machine
        self.assertGreater(self.service.statistics()['broker']['requests-failed'], 0, 'they were answered to their ends')
        h.wait_for(lambda: self.service.statistics()['engine']['models'][0]['kv-pages-used'] == 0)

    def test_killed_engine(self):
        streams = [h.Stream(self.service, h.user(h.PROMPT), max_tokens=200, **h.ENDLESS) for _ in range(6)]
        h.spin(lambda: any(s.text != '' for s in streams))
        os.kill(self.service.engine_pid(), signal.SIGKILL)
        lost = [s.finished for s in streams if s.wait()[0] != '']  # who had no word yet is asked again
        self.assertEqual({name for name, _, _ in lost}, {'org.local.LLM.Error.EngineLost'})
        self.assertIn('signal 9', lost[0][1])
        self.assertEqual(self.service.generate(max_tokens=5)[1]['output-tokens'], 5)
        self.assertEqual(self.service.statistics()['broker']['engine-losses'], 1)

    def test_engine_killed_before_the_first_token(self):
        """Nobody has seen anything yet: the request begins again, and its caller notices nothing."""
        expected = self.service.generate(temperature=0, max_tokens=10)[0]
        engine = self.service.engine_pid()
        os.kill(engine, signal.SIGSTOP)
        stream = h.Stream(self.service, h.user(h.PROMPT), temperature=0, max_tokens=10)
        os.kill(engine, signal.SIGKILL)
        self.assertEqual(stream.wait()[0], '')
        self.assertEqual(stream.text, expected)
        self.assertNotEqual(self.service.engine_pid(), engine)

    def test_quarantine(self):
        """Two crashes on the same model and user: refused from then on."""
        self.service.generate(max_tokens=1)
        for _ in range(2):
            engine = self.service.engine_pid()
            os.kill(engine, signal.SIGSTOP)
            stream = h.Stream(self.service, h.user(h.PROMPT), **h.ENDLESS)
            os.kill(engine, signal.SIGKILL)
            h.spin(lambda: stream.finished or self.service.engine_pid() not in (engine, None))
            if not stream.finished:
                os.kill(self.service.engine_pid(), signal.SIGKILL)
            stream.wait()
            name, message = h.error_name(self.service.generate, max_tokens=1)
            if name is not None:
                break
        self.assertEqual(name, 'EngineLost')
        self.assertIn('crashed 2 times', message)
        self.assertIn('degraded', self.service.call('Get', '(ss)', (h.NAME, 'Health'), interface='org.freedesktop.DBus.Properties')[0])

    def test_flood(self):
        """1 MiB calls without waiting for replies: refused beyond a bound, and others are served."""
        flooder, refused, served = self.service.bus.connect(), [], []
        prompt = 'x' * (1 << 20)
        os.kill(self.service.process.pid, signal.SIGSTOP)

        def on_reply(connection, result):
            try:
                connection.call_finish(result)
                served.append(1)
            except GLib.Error as error:
                refused.append(Gio.DBusError.get_remote_error(error))
        for _ in range(60):
            flooder.call(h.NAME, h.PATH, h.NAME, 'Generate', GLib.Variant('(ssa{sv})', ('', prompt, {})), None, 0, h.PATIENCE * 1000, None, on_reply)
        GLib.timeout_add(300, lambda: os.kill(self.service.process.pid, signal.SIGCONT))
        h.spin(lambda: len(refused) + len(served) == 60)
        self.assertTrue(set(refused) <= {'org.freedesktop.DBus.Error.LimitsExceeded', 'org.local.LLM.Error.ContextExceeded'}, set(refused))
        self.assertEqual(self.service.generate(max_tokens=5)[1]['output-tokens'], 5)
        name, message = h.error_name(self.service.generate, 'x' * (5 << 20))
        self.assertEqual(name, 'LimitsExceeded')

    def test_quota(self):
        for i in range(128):
            self.service.call('Stream', '(saa{sv}a{sv})', ('', h.user(h.PROMPT), h.v(**h.ENDLESS)))
        live = self.live()
        names = [h.error_name(self.service.call, 'Stream', '(saa{sv}a{sv})', ('', h.user(h.PROMPT), h.v(**h.ENDLESS)))[0] for _ in range(130 - live + 40)]
        self.assertIn('QuotaExceeded', names)


if __name__ == '__main__':
    unittest.main(verbosity=2)
