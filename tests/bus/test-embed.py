# SPDX-License-Identifier: LGPL-2.1-or-later
"""Embeddings over the bus: the bundled model, and an encoder made of random numbers."""
import array
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

from gi.repository import Gio, GLib

import harness as h

TEXTS = ['The cat sat on the mat.', 'A dog', 'Größe, 大きさ!', 'Once upon a time ' * 20]
WIDTH = 64


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


class Embed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = h.Service()
        cls.encoder = None
        try:
            import numpy  # noqa: F401
        except ImportError:
            return
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'encoder.gguf')
            subprocess.run([sys.executable, os.environ['LLM_GENERATE_MODEL'], '--family', 'nomic-bert', '--width', str(WIDTH), '--ff', '64', '--heads', '2',
                            '--head-dim', '32', '--context', '128', '--quiet', path], check=True)
            fds = Gio.UnixFDList()
            with open(path, 'rb') as f:
                handle = fds.append(f.fileno())
            request = cls.service.call('Import', '(ahsa{sv})', ([handle], 'encoder', {}), fds=fds)[0]
            cls.service.call('Wait', None, (), path=request, interface=h.NAME + '.Request')
            cls.encoder = 'encoder'

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def setUp(self):
        if 'encoder' in self.id() and self.encoder is None:
            self.skipTest('numpy is not there')

    def embed(self, inputs=TEXTS, model='', **options):
        return self.service.call('Embed', '(sasa{sv})', (model, inputs, h.v(**options)))

    def to_fd(self, fd, inputs=TEXTS, model='', **options):
        fds = Gio.UnixFDList()
        handle = fds.append(fd)
        os.close(fd)
        return self.service.call('EmbedToFd', '(hsasa{sv})', (handle, model, inputs, h.v(**options)), fds=fds)[0]

    def to_file(self, *args, **kwargs):
        with tempfile.TemporaryFile() as f:
            result = self.to_fd(os.dup(f.fileno()), *args, **kwargs)
            f.seek(0)
            numbers = array.array('f', f.read())
        return [numbers[i:i + result['dimensions']] for i in range(0, len(numbers), result['dimensions'])], result

    def expect(self, wanted, function, *args, says=(), **kwargs):
        name, message = h.error_name(function, *args, **kwargs)
        self.assertEqual(name, wanted, message)
        for part in says:
            self.assertIn(part, message)

    def test_result(self):
        before = self.service.statistics()
        rows, result = self.embed()
        self.assertEqual(set(result), {'prompt-tokens', 'dimensions', 'count', 'queue-us', 'load-us', 'model-digest'})
        self.assertEqual((len(rows), result['count']), (4, 4))
        self.assertTrue(result['model-digest'].startswith('sha256-'))
        for row in rows:
            self.assertEqual(len(row), result['dimensions'])
            self.assertAlmostEqual(dot(row, row), 1, 5)
        self.assertGreater(dot(*self.embed(['The dog ran home.', 'The dog ran home!'])[0]), dot(rows[0], rows[2]))
        after = self.service.statistics()
        self.assertGreaterEqual(after['engine']['tokens-embedded'], result['prompt-tokens'])
        self.assertEqual(after['broker']['requests-live'], 0)
        self.assertEqual(after['broker']['requests-total'], before['broker']['requests-total'] + 2)

    def test_options(self):
        raw, _ = self.embed(normalize=False)
        cut, result = self.embed(dimensions=8)
        self.assertEqual(result['dimensions'], 8)
        for a, b in zip(raw, cut):
            length = math.sqrt(dot(a[:8], a[:8]))
            for x, y in zip(a, b):
                self.assertAlmostEqual(x / length, y, 5)
        self.assertNotEqual(self.embed(pooling='last')[0], self.embed(pooling='mean')[0])
        firsts, _ = self.embed(['Once upon', 'Once more'], pooling='cls')  # the first token of a decoder sees nothing else
        self.assertEqual(firsts[0], firsts[1])
        self.expect('InvalidArgs', self.embed, pooling='max', says=['pooling', 'mean'])
        self.expect('InvalidArgs', self.embed, nonsense=1, says=['nonsense', 'pooling'])
        self.expect('InvalidArgs', self.embed, dimensions=0, says=['dimensions'])
        self.expect('InvalidArgs', self.embed, dimensions=100000, says=['dimensions'])
        self.expect('InvalidArgs', self.embed, normalize=1, says=['normalize'])
        self.expect('InvalidArgs', self.embed, temperature=1.0, says=['temperature'])

    def test_inputs(self):
        self.expect('InvalidMessage', self.embed, [], says=['no inputs'])
        self.expect('ModelNotFound', self.embed, model='nobody')
        self.assertEqual(len(self.embed(['x'] * 2048, dimensions=1)[0]), 2048)
        self.expect('LimitsExceeded', self.embed, ['x'] * 2049, dimensions=1, says=['2049', '2048'])
        half = 'word ' * (1 << 18)
        text = half[:1 << 20]
        self.assertEqual(len(self.embed([text, text], truncate=True, dimensions=4)[0]), 2)
        self.expect('LimitsExceeded', self.embed, [text, text, 'x'], truncate=True, says=['2097153', '2097152'])

    def test_context(self):
        self.expect('ContextExceeded', self.embed, ['x', 'word ' * 2000], says=['input 1', '1024'])
        self.assertLess(self.embed(['word ' * 2000], truncate=True)[1]['prompt-tokens'], 1025)

    def test_reply_limit(self):
        width = self.embed(['x'])[1]['dimensions']
        most = 131072 // width
        rows, _ = self.embed(['x'] * most)
        self.assertEqual(len(rows), most)
        self.expect('LimitsExceeded', self.embed, ['x'] * (most + 1), says=['EmbedToFd'])
        rows, result = self.to_file(['x'] * (most + 1))
        self.assertEqual((len(rows), result['count']), (most + 1, most + 1))

    def test_fd(self):
        rows, result = self.embed()
        written, other = self.to_file()
        self.assertEqual({k: result[k] for k in ('count', 'dimensions', 'prompt-tokens')}, {k: other[k] for k in ('count', 'dimensions', 'prompt-tokens')})
        self.assertEqual([list(row) for row in written], rows)
        self.expect('InvalidArgs', self.to_fd, os.open('/dev/null', os.O_WRONLY), says=['device node'])
        reader, writer = os.pipe()
        os.close(reader)
        self.expect('Cancelled', self.to_fd, writer)
        reader, writer = os.pipe()  # a slow reader gets it all: more than pipe and ring hold
        child = subprocess.Popen(['sh', '-c', 'sleep 1; wc -c'], stdin=reader, stdout=subprocess.PIPE)
        os.close(reader)
        result = self.to_fd(writer, ['x'] * 2048)
        self.assertEqual(int(child.communicate()[0]), 2048 * result['dimensions'] * 4)
        self.assertGreater(2048 * result['dimensions'] * 4, 512 * 1024)

    def test_cancel(self):
        token = 'embedding'
        done = []
        text = 'word ' * 200
        self.service.connection.call(h.NAME, h.PATH, h.NAME, 'Embed', GLib.Variant('(sasa{sv})', ('', [text] * 1000, h.v(handle_token=token, dimensions=1))),
                                     None, 0, h.PATIENCE * 1000, None, lambda c, r: done.append(h.error_name(c.call_finish, r)))
        path = f"{h.PATH}/request/{self.service.connection.get_unique_name()[1:].replace('.', '_')}/{token}"
        kind = lambda: self.service.call('Get', '(ss)', (h.NAME + '.Request', 'Kind'), path=path, interface='org.freedesktop.DBus.Properties')[0]
        h.wait_for(lambda: h.error_name(kind)[0] is None)  # GDBus looks for the object when the call arrives, before the main loop has come to Embed
        self.assertEqual(kind(), 'embed')
        self.service.call('Cancel', None, (), path=path, interface=h.NAME + '.Request')
        h.spin(lambda: done)
        self.assertEqual(done[0][0], 'Cancelled')
        self.expect('Cancelled', self.embed, [text] * 1000, dimensions=1, deadline_ms=1, says=['deadline'])
        h.wait_for(lambda: self.service.statistics()['engine']['requests-running'] == 0)

    def test_engine_lost(self):
        self.embed(['x'])
        done = []
        text = 'word ' * 200
        self.service.connection.call(h.NAME, h.PATH, h.NAME, 'Embed', GLib.Variant('(sasa{sv})', ('', [text] * 40, h.v(dimensions=1))),
                                     None, 0, h.PATIENCE * 1000, None, lambda c, r: done.append(c.call_finish(r).unpack()))
        h.spin(lambda: self.service.statistics()['broker']['requests-live'] > 0)
        os.kill(self.service.engine_pid(), 9)
        h.spin(lambda: done)  # asked again of the next engine
        self.assertEqual(done[0][1]['count'], 40)

    def test_beside_generation(self):
        stream = h.Stream(self.service, h.user(h.PROMPT), temperature=1.5, max_tokens=100)
        self.assertEqual(self.embed()[1]['count'], 4)
        self.assertEqual(stream.wait()[0], '')

    def test_encoder(self):
        listed = {m[1]: m[2] for m in self.service.call('ListModels', '(a{sv})', (h.v(capability='embed'),))[0]}
        self.assertEqual(listed['encoder:latest']['Capabilities'], ['embed'])
        self.assertIn('embed', listed['tiny-chat:latest']['Capabilities'])
        rows, result = self.embed(TEXTS[:3], model='encoder')
        self.assertEqual(result['dimensions'], WIDTH)
        alone = [self.embed([text], model='encoder')[0][0] for text in TEXTS[:3]]
        for row, other in zip(rows, alone, strict=True):  # few rows and many have a kernel each, which add in another order
            self.assertLess(max(abs(a - b) for a, b in zip(row, other, strict=True)), 1e-5)
        self.expect('NotSupported', self.service.generate, model='encoder', says=['embeddings'])
        self.expect('ContextExceeded', self.embed, ['word ' * 500], model='encoder', says=['128'])

    def test_llmctl(self):
        def run(*args, status=0, **kwargs):
            done = subprocess.run([os.environ['LLMCTL'], *args], env=dict(self.service.bus.environment(), LC_ALL='C.UTF-8'), capture_output=True, timeout=h.PATIENCE, **kwargs)
            self.assertEqual(done.returncode, status, done.stderr)
            return done
        rows, _ = self.embed(TEXTS[:2])
        answer = json.loads(run('embed', 'tiny-chat', *TEXTS[:2]).stdout)
        self.assertEqual((answer['model'], answer['dimensions']), ('tiny-chat', len(rows[0])))
        for a, b in zip(answer['embeddings'], rows):
            for x, y in zip(a, b):
                self.assertAlmostEqual(x, y, 6)
        lines = run('embed', 'tiny-chat', '-', '--dimensions=3', '--pooling', 'mean', input='\n'.join(TEXTS[:2]).encode())
        self.assertEqual([len(r) for r in json.loads(lines.stdout)['embeddings']], [3, 3])
        numbers = array.array('f', run('embed', '--raw', 'tiny-chat', *TEXTS[:2]).stdout)
        self.assertEqual(numbers.tolist(), rows[0] + rows[1])
        self.assertIn(b'--pooling', run('embed', '--help').stdout)
        run('embed', status=2)
        self.assertIn(b'UTF-8', run('embed', '', '-', input=b'\xff\n', status=1).stderr)
        self.assertIn(b'mean', run('embed', '--pooling=max', '', 'x', status=1).stderr)


if __name__ == '__main__':
    unittest.main(verbosity=2)
