# SPDX-License-Identifier: LGPL-2.1-or-later
"""A model's file that is damaged behind the service's back costs one engine, and nothing and nobody else."""
import hashlib
import os
import signal
import sys
import unittest

from gi.repository import Gio, GLib

import harness as h
from split_gguf import split

REQUEST = h.NAME + '.Request'


class Damage(unittest.TestCase):
    def setUp(self):
        # a sanitizer must not take SIGBUS for its own
        options = os.environ.get('ASAN_OPTIONS', '')
        self.service = h.Service(environment={'LLM_CPU_ISA': 'scalar', 'ASAN_OPTIONS': f'{options}:handle_sigbus=0'.strip(':')})
        with open(os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-chat.gguf'), 'rb') as f:
            self.data = f.read()
        self.expected = self.service.generate(temperature=0, max_tokens=20)[0]
        self.broker = self.service.process.pid

    def tearDown(self):
        self.service.__exit__(*sys.exc_info())

    def send(self, name, parts):
        fds = Gio.UnixFDList()
        for part in parts:
            fd = os.memfd_create('part', os.MFD_CLOEXEC)
            with os.fdopen(fd, 'wb') as f:
                f.write(part)
                f.flush()
                fds.append(fd)
        path = self.service.call('Import', '(ahsa{sv})', (list(range(len(parts))), name, {}), fds=fds)[0]
        return self.service.call('Wait', None, (), path=path, interface=REQUEST)[0]['digest']

    def variant(self, i):
        """The bundled model with another name, so that its bytes are its own."""
        changed = self.data.replace(b'Tiny Chat', b'Tiny Cha%d' % i)
        self.assertNotEqual(changed, self.data)
        return changed

    def blob(self, digest):
        return os.path.join(self.service.state, 'blobs', digest)

    def truncate(self, path, size=0):
        os.chmod(path, 0o644)
        os.truncate(path, size)

    def losses(self):
        return self.service.statistics()['broker']['engine-losses']

    def health(self):
        return self.service.call('Get', '(ss)', (h.NAME, 'Health'), interface='org.freedesktop.DBus.Properties')[0]

    def works(self, model):
        self.assertEqual(self.service.generate(model=model, temperature=0, max_tokens=20)[0], self.expected)

    def expect(self, wanted, model):
        name, message = h.error_name(self.service.generate, model=model, max_tokens=20)
        self.assertEqual(name, wanted, message)
        return message

    def answering(self, model):
        """Streams of which one has begun, and all have seconds to go."""
        streams = [h.Stream(self.service, h.user(h.PROMPT), model=model, max_tokens=300, **h.ENDLESS) for _ in range(6)]
        h.spin(lambda: any(s.text != '' for s in streams))
        return streams

    def all_is_well(self, losses):
        self.assertEqual(self.losses(), losses)
        self.assertEqual(self.health(), 'ok')
        self.assertEqual(self.service.process.pid, self.broker)
        self.assertIsNone(self.service.process.poll())

    def test_truncated(self):
        blob = self.blob(self.send('mine', [self.variant(1)]))
        self.works('mine')
        engine = self.service.engine_pid()
        self.truncate(blob)
        self.assertIn('import the model again', self.expect('IntegrityFailed', 'mine'))
        self.all_is_well(1)
        self.works('')  # another model, the next request
        self.assertNotEqual(self.service.engine_pid(), engine)
        self.expect('IntegrityFailed', 'mine')  # said without an engine's death
        self.all_is_well(1)
        self.send('mine', [self.variant(1)])
        self.works('mine')
        self.all_is_well(1)

    def test_removed(self):
        """An open file that was unlinked stays whole; it is missed at the next load."""
        blob = self.blob(self.send('mine', [self.variant(1)]))
        self.works('mine')
        os.unlink(blob)
        self.works('mine')
        path = self.service.call('GetModel', '(s)', ('mine',))[0]
        self.service.call('Unload', '(a{sv})', ({},), path=path, interface=h.NAME + '.Model')
        self.expect('ModelNotFound', 'mine')
        self.send('mine', [self.variant(1)])
        self.works('mine')
        self.all_is_well(0)

    def test_part_truncated(self):
        parts = split(self.data, 3)
        self.send('pieces', parts)
        self.works('pieces')
        self.truncate(self.blob('sha256-' + hashlib.sha256(parts[1]).hexdigest()), 4096)
        self.expect('IntegrityFailed', 'pieces')
        self.works('')
        self.send('pieces', parts)
        self.works('pieces')
        self.all_is_well(1)

    def test_in_mid_answer(self):
        blob = self.blob(self.send('mine', [self.variant(1)]))
        streams = self.answering('mine')
        self.truncate(blob)
        ends = [s.wait()[0] for s in streams]
        self.assertIn('org.local.LLM.Error.EngineLost', ends)
        self.assertTrue(set(ends) <= {'', 'org.local.LLM.Error.EngineLost', 'org.local.LLM.Error.IntegrityFailed'}, ends)
        self.works('')
        self.expect('IntegrityFailed', 'mine')
        self.all_is_well(1)

    def test_nobody_is_blamed(self):
        """Requests to a good model are in mid-answer each time an engine dies of a bad file: no quarantine for them."""
        for i in range(1, 4):
            blob = self.blob(self.send('mine', [self.variant(i)]))
            self.works('mine')
            bystanders = self.answering('')
            self.truncate(blob)
            self.expect('IntegrityFailed', 'mine')
            self.assertIn('org.local.LLM.Error.EngineLost', [s.wait()[0] for s in bystanders])
            self.all_is_well(i)
        self.works('')
        self.send('mine', [self.variant(3)])
        self.works('mine')

    def test_bystander_without_a_word(self):
        """What had not said anything yet begins again, and its caller notices nothing."""
        blob = self.blob(self.send('mine', [self.variant(1)]))
        self.works('mine')
        engine = self.service.engine_pid()
        os.kill(engine, signal.SIGSTOP)
        victim = h.Stream(self.service, h.user(h.PROMPT), model='mine', max_tokens=20)
        late = h.Stream(self.service, h.user(h.PROMPT + ', there was'), temperature=0, max_tokens=20)
        self.truncate(blob)
        os.kill(engine, signal.SIGCONT)
        self.assertEqual(victim.wait()[0], 'org.local.LLM.Error.IntegrityFailed')
        name, message, _ = late.wait()
        self.assertIn(name, ('', 'org.local.LLM.Error.EngineLost'), message)
        if name == '':
            self.assertEqual(late.text, self.service.generate(h.PROMPT + ', there was', temperature=0, max_tokens=20)[0])
        self.all_is_well(1)

    def test_while_it_is_loaded(self):
        blob = self.blob(self.send('mine', [self.variant(1)]))
        self.works('')
        engine = self.service.engine_pid()
        os.kill(engine, signal.SIGSTOP)
        stream = h.Stream(self.service, h.user(h.PROMPT), model='mine', max_tokens=20)  # its file is on the way to the engine
        self.truncate(blob, 50000)
        os.kill(engine, signal.SIGCONT)
        self.assertIn(stream.wait()[0], ('org.local.LLM.Error.InvalidModel', 'org.local.LLM.Error.IntegrityFailed'))
        self.works('')
        self.expect('IntegrityFailed', 'mine')
        self.assertEqual(self.health(), 'ok')


if __name__ == '__main__':
    unittest.main(verbosity=2)
