# SPDX-License-Identifier: LGPL-2.1-or-later
"""One broker per store; a name whose weights change under its users."""
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from gi.repository import Gio, GLib

import harness as h

REQUEST, MODEL = h.NAME + '.Request', h.NAME + '.Model'


def memfds(*parts):
    fds = Gio.UnixFDList()
    for part in parts:
        fd = os.memfd_create('part', os.MFD_CLOEXEC)
        with os.fdopen(fd, 'wb') as f:
            f.write(part)
            f.flush()
            fds.append(fd)
    return fds


class Case(unittest.TestCase):
    environment = None

    def setUp(self):
        self.service = h.Service(environment=self.environment)
        with open(os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-chat.gguf'), 'rb') as f:
            self.data = f.read()

    def tearDown(self):
        self.service.__exit__(*sys.exc_info())

    def variant(self, i):
        return self.data.replace(b'Tiny Chat', b'Tiny Cha%d' % i)

    def start(self, name, *parts, connection=None, **options):
        fds = memfds(*parts)
        return self.service.call('Import', '(ahsa{sv})', (list(range(len(parts))), name, h.v(**options)), connection, fds=fds)[0]

    def wait(self, request):
        return self.service.call('Wait', None, (), path=request, interface=REQUEST)[0]

    def send(self, name, *parts, **options):
        return self.wait(self.start(name, *parts, **options))['digest']

    def files(self, folder):
        return sorted(os.listdir(os.path.join(self.service.state, folder)))

    def object(self, name):
        return self.service.call('GetModel', '(s)', (name,))[0]

    def on_model(self, name, method, signature='(a{sv})', arguments=({},)):
        return self.service.call(method, signature, arguments, path=self.object(name), interface=MODEL)

    def properties(self, name):
        return {m[1]: m[2] for m in self.service.call('ListModels', '(a{sv})', ({},))[0]}[name]

    def expect(self, wanted, function, *args, says=(), **kwargs):
        name, message = h.error_name(function, *args, **kwargs)
        self.assertEqual(name, wanted, message)
        for part in says:
            self.assertIn(part, message)


class Holder(Case):
    def second(self, *options, bus=None, state=None):
        environment = {**(bus or self.service.bus).environment()}
        state = state or self.service.state
        command = [os.environ['LLMD'], '--session', '--state-dir', state, '--cache-dir', os.path.join(state, 'cache'), '--models-dir', os.environ['LLM_MODELS_DIR'], *options]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def test_two_brokers(self):
        """On this bus or another: the second says which process has the store, where, and since when, and ends with 3."""
        other = h.Bus()
        self.addCleanup(other.close)
        for bus in (self.service.bus, other):
            second = self.second(bus=bus)
            error = second.communicate(timeout=60)[1]
            self.assertEqual(second.returncode, 3, error)
            self.assertIn(f'process {self.service.process.pid} on the session bus, since 20', error)
            self.assertIn(self.service.state, error)
        self.assertTrue(self.service.has_name())
        self.assertGreater(len(self.service.generate(max_tokens=5)[0]), 0)

    def test_name_taken(self):
        """Its own store, but the bus has such a service already."""
        state = tempfile.mkdtemp(prefix='llm-state-')
        self.addCleanup(subprocess.run, ['rm', '-rf', state])
        second = self.second(state=state)
        error = second.communicate(timeout=60)[1]
        self.assertEqual(second.returncode, 1, error)
        self.assertIn('was taken by another instance', error)

    def test_killed(self):
        """Of a killed one only the words are left, and they keep nobody out."""
        service = h.Service()
        self.addCleanup(service.bus.close)
        service.process.kill()
        service.process.wait()
        self.assertIn('holder', os.listdir(service.state))
        with h.Service(state=service.state) as next_one:
            self.assertGreater(len(next_one.generate(max_tokens=5)[0]), 0)

    def test_replace(self):
        """The old one goes, the new one waits for its store and serves from it."""
        service = h.Service()
        self.addCleanup(service.bus.close)
        self.addCleanup(subprocess.run, ['rm', '-rf', service.state])
        second = self.second('--replace', bus=service.bus, state=service.state)
        self.addCleanup(second.stderr.close)
        self.assertEqual(service.process.wait(60), 1)
        connection = service.bus.connect()

        def works():
            try:
                return service.generate(connection=connection, max_tokens=5)[0] != ''
            except GLib.Error:
                return False
        h.wait_for(works)
        second.terminate()
        self.assertEqual(second.wait(60), 0)


class Alias(Case):
    def test_alias(self):
        one, two = self.send('org/one:1', self.variant(1)), self.send('two', self.variant(2))
        changed = []
        self.service.connection.signal_subscribe(h.NAME, 'org.freedesktop.DBus.Properties', 'PropertiesChanged', self.object('two'), None, 0,
                                                 lambda *a: changed.append(a[5].unpack()[1]['Aliases']))
        self.on_model('org/one:1', 'AddAlias', '(s)', ('chat',))
        self.assertEqual(self.properties('org/one:1')['Aliases'], ['chat:latest'])
        self.assertEqual(self.object('chat'), self.object('org/one:1'))
        self.assertEqual(self.service.generate(model='chat', max_tokens=1)[1]['model-digest'], one)
        self.on_model('two', 'AddAlias', '(s)', ('chat',))
        h.spin(lambda: ['chat:latest'] in changed)
        self.assertEqual(self.service.generate(model='chat', max_tokens=1)[1]['model-digest'], two)
        self.expect('InvalidArgs', self.on_model, 'two', 'AddAlias', '(s)', ('org/one:1',), says=["model's own name"])
        self.expect('InvalidArgs', self.on_model, 'two', 'AddAlias', '(s)', ('../x',), says=['invalid model name'])
        self.expect('ModelNotFound', self.on_model, 'org/one:1', 'RemoveAlias', '(s)', ('chat',), says=['no alias of org/one:1'])
        self.assertEqual(len(self.service.call('ListModels', '(a{sv})', ({},))[0]), 3)
        three = self.send('chat', self.variant(3))  # a model of its own from now on
        self.assertEqual((self.properties('chat:latest')['Digest'], self.properties('two:latest')['Aliases']), (three, []))
        self.on_model('chat', 'Delete')
        self.expect('ModelNotFound', self.object, 'chat')

    def test_llmctl(self):
        def ctl(*args, status=0):
            done = subprocess.run([os.environ['LLMCTL'], *args], env=dict(self.service.bus.environment(), LC_ALL='C.UTF-8'), capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, status, done.stderr)
            return done

        ctl('alias', 'story', 'tiny-chat')
        self.assertEqual(ctl('alias').stdout.split(), ['story:latest', 'tiny-chat:latest'])
        self.assertGreater(len(ctl('run', '-n', '5', 'story', h.PROMPT).stdout), 1)
        ctl('alias', '--remove', 'story')
        self.assertEqual(ctl('alias').stdout, '')
        ctl('alias', 'story', status=2)
        self.assertIn('no model', ctl('alias', '--remove', 'story', status=1).stderr)


class Faults(unittest.TestCase):
    """The disk of the built service fails, or the service dies (tests/faults); tests/store/test-crash.c does it at every step."""

    def broken(self, fault, path, state=None):
        options = os.environ.get('ASAN_OPTIONS', '')
        return h.Service(state=state, environment={'LD_PRELOAD': os.environ['LLM_FAULTS'], 'LLM_FAULT': fault, 'LLM_FAULT_PATH': path, 'LLM_FAULT_PROGRAM': 'local-llmd',
                                                   'ASAN_OPTIONS': f'{options}:verify_asan_link_order=0'.strip(':')})

    def send(self, service):
        with open(os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-chat.gguf'), 'rb') as f:
            request = service.call('Import', '(ahsa{sv})', ([0], 'mine', {}), fds=memfds(f.read()))[0]
        return service.call('Wait', None, (), path=request, interface=REQUEST)[0]

    def left(self, state):
        return [f for folder in ('blobs', 'tmp', 'models/mine') for f in (os.listdir(os.path.join(state, folder)) if os.path.exists(os.path.join(state, folder)) else [])]

    def test_errors(self):
        for fault, path, wanted in (('write:1+:enospc', 'tmp/import-', 'DiskFull'), ('write:2:eio', 'tmp/import-', 'IOError'), ('truncate:2:edquot', 'tmp/import-', 'DiskFull'),
                                    ('fsync:1:eio', 'tmp/import-', 'IOError'), ('create:1:erofs', 'tmp/import-', 'IOError'), ('write:2+:enospc', 'tmp/manifest-', 'DiskFull'),
                                    ('fsync:1:eio', '/blobs', 'IOError')):
            with self.broken(fault, path) as service:
                service.call('ListModels', '(a{sv})', ({},))  # the bundled model has its manifest
                name, message = h.error_name(self.send, service)
                self.assertEqual(name, wanted, (fault, path, message))
                h.wait_for(lambda: self.left(service.state) == [])
                self.assertGreater(len(service.generate(model='tiny-chat', max_tokens=5)[0]), 0)

    def test_killed(self):
        for fault, path in (('rename:1:kill', '/blobs/'), ('rename:1:kill-after', '/blobs/'), ('fsync:1:kill', 'tmp/import-'), ('rename:1:kill', '/models/mine')):
            service = self.broken(fault, path)
            self.addCleanup(service.bus.close)
            with self.assertRaises(GLib.Error):
                self.send(service)
            self.assertEqual(service.process.wait(60), -signal.SIGKILL)
            with h.Service(state=service.state) as after:
                h.wait_for(lambda: self.left(after.state) == [])
                self.send(after)
                self.assertGreater(len(after.generate(model='mine', max_tokens=5)[0]), 0)


class InPlace(Case):
    def refer(self, path):
        fds = Gio.UnixFDList()
        with open(path, 'rb') as f:
            fds.append(f.fileno())
        request = self.service.call('Import', '(ahsa{sv})', ([0], 'mine', h.v(in_place=True)), fds=fds)[0]
        return self.wait(request)['digest']

    def test_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'mine.gguf')
            with open(path, 'wb') as f:
                f.write(self.data)
            self.expect('InvalidArgs', self.refer, path, says=['in-place', 'without in-place'])
        self.expect('InvalidArgs', self.start_in_place_memfd, says=['in-place'])
        self.assertEqual(len(self.service.call('ListModels', '(a{sv})', ({},))[0]), 1)

    def start_in_place_memfd(self):
        self.wait(self.start('mine', self.data, in_place=True))

    @unittest.skipUnless(os.getuid() == 0 and os.stat('/root').st_mode & 0o022 == 0, 'only root can have files that only root can change')
    def test_used_where_it_is(self):
        expected = self.service.generate(temperature=0, max_tokens=20)[0]
        with tempfile.TemporaryDirectory(dir='/root') as folder:
            path = os.path.join(folder, 'mine.gguf')
            with open(path, 'wb') as f:
                f.write(self.variant(1))
            os.chmod(path, 0o644)
            digest = self.refer(path)
            works = lambda: self.assertEqual(self.service.generate(model='mine', temperature=0, max_tokens=20)[0], expected)
            works()
            self.assertEqual((self.files('blobs'), self.properties('mine:latest')['Digest']), ([], digest))
            self.on_model('mine', 'Unload')
            os.chmod(folder, 0o777)  # asked again whenever it is opened
            self.expect('IntegrityFailed', self.service.generate, model='mine', says=['may write to'])
            os.chmod(folder, 0o700)
            works()
            self.on_model('mine', 'Delete')
            self.assertTrue(os.path.exists(path))
            self.expect('ModelNotFound', self.service.generate, model='mine')


class Swap(Case):
    environment = {'LLM_CPU_ISA': 'scalar'}

    def caught(self, model):
        """Three streams in mid-answer, their engine stopped."""
        for _ in range(20):
            streams = [h.Stream(self.service, h.user(h.PROMPT), model=model, max_tokens=300, **h.ENDLESS) for _ in range(3)]
            h.spin(lambda: all(s.text != '' or s.finished for s in streams))
            os.kill(self.service.engine_pid(), signal.SIGSTOP)
            self.service.call('GetModel', '(s)', (model,))  # what the engine had said before has been passed on by then
            h.spin(lambda: not GLib.MainContext.default().pending())
            if all(s.finished is None for s in streams):
                return streams
            os.kill(self.service.engine_pid(), signal.SIGCONT)
        self.fail('too quick for this test')

    def test_newer_version(self):
        """The requests that run end on the old weights, the next ones have the new, and nobody fails."""
        old = self.send('mine', self.variant(1), version='1')
        loaded = lambda: [m['digest'] for m in self.service.statistics()['engine'].get('models', [])]
        expected, result = self.service.generate(model='mine', temperature=0, max_tokens=20)
        self.assertEqual(result['model-digest'], old)
        streams = self.caught('mine')
        engine = self.service.engine_pid()
        new = self.send('mine', self.variant(2), version='2')  # inspected in an engine of its own
        self.assertEqual((self.properties('mine:latest')['Digest'], self.properties('mine:latest')['Version']), (new, '2'))
        self.assertEqual(self.files('blobs'), sorted([old, new]))  # leased
        after = h.Stream(self.service, h.user(h.PROMPT), model='mine', temperature=0, max_tokens=20)
        os.kill(engine, signal.SIGCONT)
        for stream in streams:
            name, message, result = stream.wait()
            self.assertEqual((name, result['model-digest']), ('', old), message)
        name, message, result = after.wait()
        self.assertEqual((name, result['model-digest']), ('', new), message)
        self.assertEqual(self.service.generate(model='mine', temperature=0, max_tokens=20)[0], expected)
        h.wait_for(lambda: old not in loaded())
        h.wait_for(lambda: self.files('blobs') == [new] and self.files('tmp') == [])
        self.assertEqual(self.service.engine_pid(), engine)

    def test_end_in_mid_answer(self):
        """The service is asked to end while the old weights answer and the new ones are waited for."""
        for i in range(3):
            self.send('mine', self.variant(1))
            self.caught('mine')
            engine = self.service.engine_pid()
            self.send('mine', self.variant(2))
            h.Stream(self.service, h.user(h.PROMPT), model='mine', max_tokens=20)
            os.kill(engine, signal.SIGCONT)
            time.sleep(i)
            self.tearDown()  # fails when the service does not end well
            self.setUp()

    def test_old_weights_in_a_new_engine(self):
        """The engine dies before a token came of a request whose model was replaced: it is begun again, on the old weights."""
        old = self.send('mine', self.variant(1))
        loading = h.Stream(self.service, h.user(h.PROMPT), model='mine', max_tokens=20)
        new = self.send('mine', self.variant(2))
        pid = self.service.engine_pid()
        if pid is not None and loading.text == '':
            os.kill(pid, signal.SIGKILL)
        name, message, result = loading.wait()
        if name == '':
            self.assertEqual(result['model-digest'], old)
        else:
            self.assertEqual(name, 'org.local.LLM.Error.EngineLost')  # a token had come
        self.assertEqual(self.service.generate(model='mine', max_tokens=5)[1]['model-digest'], new)
        h.wait_for(lambda: self.files('blobs') == [new] and self.files('tmp') == [])

    def test_many_versions(self):
        """Requests and versions in turn: each request is answered by weights that had the name while it was asked."""
        digests, asked = [self.send('mine', self.variant(0))], []
        for i in range(1, 10):
            stream = h.Stream(self.service, h.user(h.PROMPT), model='mine', max_tokens=30)
            asked.append((stream, digests[-1]))
            digests.append(self.send('mine', self.variant(i)))
        for stream, digest in asked:
            name, message, result = stream.wait()
            self.assertEqual(name, '', message)
            self.assertEqual(result['model-digest'], digest)
        h.wait_for(lambda: self.files('blobs') == digests[-1:] and self.files('tmp') == [])


if __name__ == '__main__':
    unittest.main(verbosity=2)
