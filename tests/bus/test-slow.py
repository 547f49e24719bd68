# SPDX-License-Identifier: LGPL-2.1-or-later
"""What takes its time: readers that never answer (30 s), finished requests (60 s), idle engines. For tools/test --long."""
import fcntl
import os
import signal
import time
import unittest

from gi.repository import Gio, GLib

import harness as h
from importlib.machinery import SourceFileLoader

load = SourceFileLoader('load', os.path.join(os.path.dirname(os.path.abspath(__file__)), 'test-load.py')).load_module()


class Slow(unittest.TestCase):
    def setUp(self):
        self.service = h.Service(environment={'LLM_CPU_ISA': 'scalar'})

    def tearDown(self):
        self.service.__exit__(None, None, None)

    def test_silent_reader_is_given_up(self):
        child = load.Load.child(self, 40)  # with logprobs: far more than 64 KiB
        child.send_signal(signal.SIGSTOP)
        h.wait_for(lambda: self.service.statistics()['broker']['requests-live'] == 0, 60)
        child.send_signal(signal.SIGCONT)
        child.kill()
        child.wait()
        child.stdout.close()

    def test_stuck_fd_is_given_up(self):
        reader, writer = os.pipe()
        os.write(writer, b'x' * fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ))  # it takes nothing more
        fds = Gio.UnixFDList()
        handle = fds.append(writer)
        os.close(writer)
        start = time.monotonic()
        name, message = h.error_name(self.service.call, 'GenerateToFd', '(hssa{sv})', (handle, '', h.PROMPT, h.v(max_tokens=3)), fds=fds)
        self.assertEqual(name, 'Cancelled')
        self.assertIn('took nothing', message)
        self.assertGreater(time.monotonic() - start, 25)
        os.close(reader)

    def test_finished_request_goes_after_a_minute(self):
        stream = h.Stream(self.service, h.user(h.PROMPT), max_tokens=3)
        stream.wait()
        get = lambda: self.service.call('Get', '(ss)', (h.NAME + '.Request', 'State'), path=stream.path, interface='org.freedesktop.DBus.Properties')
        self.assertEqual(get(), ('done',))
        time.sleep(50)
        self.assertEqual(get(), ('done',))
        time.sleep(15)
        self.assertIn(h.error_name(get)[0], ('UnknownObject', 'UnknownMethod'))

    def test_collecting_import_is_given_up_after_a_minute(self):
        def send(**options):
            fds = Gio.UnixFDList()
            with open(os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-chat.gguf'), 'rb') as f:
                fds.append(f.fileno())
            return self.service.call('Import', '(ahsa{sv})', ([0], 'split', options), fds=fds)[0]

        path = send(**h.v(more=True))
        get = lambda: self.service.call('Get', '(ss)', (h.NAME + '.Request', 'State'), path=path, interface='org.freedesktop.DBus.Properties')[0]
        time.sleep(50)
        send(**h.v(more=True), **{'append-to': GLib.Variant('o', path)})  # the clock begins anew
        time.sleep(50)
        self.assertEqual(get(), 'collecting')
        name, message = h.error_name(self.service.call, 'Wait', None, (), path=path, interface=h.NAME + '.Request')
        self.assertEqual(name, 'Cancelled')
        self.assertIn('none came for a minute', message)
        h.wait_for(lambda: not os.listdir(os.path.join(self.service.state, 'blobs')) and not os.listdir(os.path.join(self.service.state, 'tmp')))


if __name__ == '__main__':
    unittest.main(verbosity=2)
