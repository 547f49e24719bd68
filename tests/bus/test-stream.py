# SPDX-License-Identifier: LGPL-2.1-or-later
"""The main job: streaming to Python, GJS and gdbus, on a session bus and on a system-like one with two users."""
import os
import subprocess
import sys
import unittest

from gi.repository import Gio, GLib

import harness as h

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = os.environ.get('LLM_TEST_BUS') == 'system'
OTHER_USER = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] if SYSTEM else []


class Streams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = h.Service(system=SYSTEM)
        cls.expected = cls.service.generate(temperature=0, max_tokens=30)[0]

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def run_as_client(self, command, **kwargs):
        environment = dict(self.service.bus.environment(), HOME='/nonexistent')
        return subprocess.run(OTHER_USER + command, env=environment, capture_output=True, text=True, timeout=h.PATIENCE, **kwargs)

    def test_there_is_text(self):
        self.assertGreater(len(self.expected), 20)

    def test_python(self):
        stream = h.Stream(self.service, h.user(h.PROMPT), temperature=0, max_tokens=30)
        name, message, result = stream.wait()
        self.assertEqual((name, message), ('', ''))
        self.assertEqual(stream.text, self.expected)
        self.assertEqual(result['finish-reason'], 'length')
        self.assertEqual(result['output-tokens'], 30)

    @unittest.skipIf(subprocess.run(['which', 'gjs'], capture_output=True).returncode, 'no gjs here')
    def test_gjs(self):
        done = self.run_as_client(['gjs', '-m', os.path.join(HERE, 'stream.js'), h.PROMPT, '30'])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, self.expected)

    def test_gdbus(self):
        bus = '--system' if SYSTEM else '--session'
        done = self.run_as_client(['gdbus', 'call', bus, '--timeout', '60', '-d', h.NAME, '-o', h.PATH, '-m', h.NAME + '.GenerateToFd', '1', '',
                                   h.PROMPT, "{'temperature': <0>, 'max-tokens': <30>}"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith(self.expected), done.stdout)

    def test_more_than_flow_control_lets_pass_at_once(self):
        """The service asks whether its client still reads, and on a system bus it must be allowed to."""
        sizes, connection = [], self.service.bus.connect()
        connection.signal_subscribe(h.NAME, h.NAME, 'Token', h.PATH, None, 0, lambda *a: sizes.append(a[5].get_size()))
        while sum(sizes) < 3 * 65536:
            stream = h.Stream(self.service, h.user(h.PROMPT), connection, temperature=2.0, logprobs=20, max_tokens=400)
            self.assertEqual(stream.wait()[0], '')

    def test_second_client_sees_nothing(self):
        other, seen = self.service.bus.connect(), []
        other.signal_subscribe(None, h.NAME, None, None, None, 0, lambda *a: seen.append(a[4]))
        stream = h.Stream(self.service, h.user(h.PROMPT), max_tokens=30)
        for method, signature, args in (('Get', '(ss)', (h.NAME + '.Request', 'State')), ('GetAll', '(s)', (h.NAME + '.Request',))):
            self.assertEqual(h.error_name(self.service.call, method, signature, args, other, stream.path, 'org.freedesktop.DBus.Properties')[0], 'UnknownObject')
        for interface, method in ((h.NAME + '.Request', 'Cancel'), (h.NAME + '.Request', 'Wait'), ('org.freedesktop.DBus.Introspectable', 'Introspect')):
            self.assertEqual(h.error_name(self.service.call, method, None, (), other, stream.path, interface)[0], 'UnknownObject')
        self.assertEqual(stream.wait()[0], '')
        self.service.call('GetStatistics', '(a{sv})', ({},), other)  # all that was sent before has arrived
        h.spin(lambda: True)
        self.assertEqual(seen, [])

    @unittest.skipUnless(SYSTEM, 'needs two users')
    def test_other_user_may_not_manage(self):
        call = ['gdbus', 'call', '--system', '-d', h.NAME, '-o', self.service.call('GetModel', '(s)', (h.MODEL,))[0], '-m']
        for method in ('Unload', 'Delete', 'Load'):
            done = self.run_as_client(call + [h.NAME + '.Model.' + method, '{}'])
            self.assertIn('AccessDenied', done.stderr)


if __name__ == '__main__':
    if SYSTEM and os.getuid() != 0:
        print('needs root for a second user')
        sys.exit(77)
    unittest.main(verbosity=2)
