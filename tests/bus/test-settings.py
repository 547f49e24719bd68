# SPDX-License-Identifier: LGPL-2.1-or-later
"""org.local.LLM.Settings and llmctl config: who may do what, what a change does and when, what is remembered."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from gi.repository import Gio, GLib

import harness as h

INTERFACE = h.NAME + '.Settings'
OTHER_USER = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']


class Client:
    """Calls of the interface."""

    def __init__(self, service):
        self.service = service

    def call(self, method, *arguments):
        signature = {'Get': '(s)', 'Set': '(sv)', 'Reset': '(s)', 'List': None, 'Describe': '(s)'}[method]
        return self.service.call(method, signature, arguments, interface=INTERFACE)

    def get(self, key):
        return self.call('Get', key)[0]

    def set(self, key, kind, value):
        self.call('Set', key, GLib.Variant(kind, value))


def run_ctl(service, *args, status=0, prefix=(), language='C.UTF-8'):
    done = subprocess.run([*prefix, os.environ['LLMCTL'], *args], env=dict(service.bus.environment(), LC_ALL=language), capture_output=True, text=True, timeout=h.PATIENCE)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stderr


class Session(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = h.Service()
        cls.settings = Client(cls.service)

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def tearDown(self):
        for key in self.settings.call('List')[0]:
            if self.settings.call('Describe', key)[0]['changed'] and not key.startswith('last-'):
                self.settings.call('Reset', key)

    def expect(self, name, function, *arguments, says=''):
        got, message = h.error_name(function, *arguments)
        self.assertEqual(got, name)
        self.assertIn(says, message)

    def test_get_set_reset(self):
        s = self.settings
        self.assertEqual(s.get('keep-alive'), 300)
        s.set('keep-alive', 'i', 20)
        self.assertEqual(s.get('keep-alive'), 20)
        self.assertEqual(s.call('List')[0]['keep-alive'], 20)
        s.call('Reset', 'keep-alive')
        self.assertEqual(s.get('keep-alive'), 300)
        self.expect('InvalidArgs', s.set, 'keep-alive', 'i', -1, says='from 0 to 31536000')
        self.expect('InvalidArgs', s.set, 'keep-alive', 's', 'long', says='integer')
        self.expect('InvalidArgs', s.set, 'keep-alife', 'i', 1, says='keep-alive')
        self.expect('InvalidArgs', s.get, 'zzz', says='known are')
        self.expect('InvalidArgs', s.call, 'Reset', 'zzz')
        self.expect('InvalidArgs', s.call, 'Describe', 'zzz')
        self.expect('AccessDenied', s.set, 'last-gc', 'x', 1, says='kept')

    def test_changed(self):
        heard = []
        listener = self.service.bus.connect()
        listener.signal_subscribe(h.NAME, INTERFACE, 'Changed', h.PATH, None, 0, lambda *a: heard.append(a[5].unpack()))
        listener.call_sync('org.freedesktop.DBus', '/', 'org.freedesktop.DBus.Peer', 'Ping', None, None, 0, 10000, None)  # it listens now
        self.settings.set('threads', 'u', 2)
        self.settings.set('threads', 'u', 2)
        self.settings.call('Reset', 'threads')
        h.spin(lambda: len(heard) >= 2)
        self.assertEqual(heard, [('threads', 2), ('threads', 0)])

    def test_describe(self):
        facts = self.settings.call('Describe', 'kv-type')[0]
        self.assertEqual((facts['choices'], facts['applies'], facts['default'], facts['type'], facts['changed']), (['f16', 'f32', 'q8_0'], 'at-load', 'f16', 's', False))
        facts = self.settings.call('Describe', 'keep-versions')[0]
        self.assertEqual((facts['minimum'], facts['maximum'], facts['writable']), (1, 64, True))
        self.assertFalse(self.settings.call('Describe', 'last-build-id')[0]['writable'])

    def load(self):
        """The model, loaded anew; how large its window is."""
        path = self.service.call('GetModel', '(s)', (h.MODEL,))[0]
        self.service.call('Unload', '(a{sv})', ({},), path=path, interface=h.NAME + '.Model')
        self.service.generate(max_tokens=1)
        return self.service.statistics()['engine']['models'][0]['context-window']

    def test_next_load(self):
        before = self.load()
        self.settings.set('context-window', 'u', 256)
        self.service.generate(max_tokens=1)
        self.assertEqual(self.service.statistics()['engine']['models'][0]['context-window'], before)
        self.assertEqual(self.load(), 256)
        self.settings.set('model-overrides', 'a{sa{sv}}', {h.MODEL: {'context-window': GLib.Variant('i', 128)}})
        self.assertEqual(self.load(), 128)
        self.settings.set('model-overrides', 'a{sa{sv}}', {'another': {'context-window': GLib.Variant('i', 64)}})
        self.assertEqual(self.load(), 256)

    def test_keep_alive_at_once(self):
        self.load()
        self.settings.set('keep-alive', 'u', 1)
        loaded = lambda: self.service.call('Get', '(ss)', (h.NAME, 'LoadedModels'), interface='org.freedesktop.DBus.Properties')[0]
        h.spin(lambda: loaded() == [])

    def test_default_model(self):
        heard = []
        connection = self.service.bus.connect()
        connection.signal_subscribe(h.NAME, 'org.freedesktop.DBus.Properties', 'PropertiesChanged', h.PATH, None, 0, lambda *a: heard.append(a[5].unpack()[1]))
        connection.call_sync('org.freedesktop.DBus', '/', 'org.freedesktop.DBus.Peer', 'Ping', None, None, 0, 10000, None)
        self.settings.set('default-model', 's', h.MODEL)
        h.spin(lambda: {'DefaultModel': h.MODEL + ':latest'} in heard)

    def test_memory_budget(self):
        """The second model does not fit beside the first: that goes when nobody uses it."""
        file = os.path.join(os.environ['LLM_MODELS_DIR'], h.MODEL + '.gguf')
        with tempfile.TemporaryDirectory() as folder:
            other = os.path.join(folder, 'other.gguf')
            with open(file, 'rb') as f, open(other, 'wb') as g:
                g.write(f.read() + b'\0' * 64)  # other bytes, the same model
            run_ctl(self.service, 'import', other, 'other')
        self.load()
        digests = lambda: sorted(m['digest'] for m in self.service.statistics()['engine']['models'])
        first = digests()
        self.settings.set('memory-budget', 't', self.service.statistics()['engine']['models'][0]['memory-bytes'] + os.path.getsize(file) // 2)
        self.service.generate(model='other', max_tokens=1)
        h.spin(lambda: len(digests()) == 1)
        self.assertNotEqual(digests(), first)
        stream = h.Stream(self.service, h.user(h.PROMPT), model='other', temperature=2.0)
        h.spin(lambda: stream.tokens > 0)
        self.expect('OutOfMemory', self.service.generate, says='memory-budget')
        self.service.call('Cancel', None, (), path=stream.path, interface=h.NAME + '.Request')
        stream.wait()
        self.service.generate(max_tokens=1)

    def test_model_bytes(self):
        file = os.path.join(os.environ['LLM_MODELS_DIR'], h.MODEL + '.gguf')
        with tempfile.TemporaryDirectory() as folder:
            other = os.path.join(folder, 'limited.gguf')
            with open(file, 'rb') as f, open(other, 'wb') as g:
                g.write(f.read() + b'\0' * 128)
            limit = self.service.statistics()['store']['copied-bytes'] + os.path.getsize(other)
            self.settings.set('model-bytes', 't', limit - 1)
            done = subprocess.run([os.environ['LLMCTL'], 'import', other], env=self.service.bus.environment(), capture_output=True, text=True)
            self.assertIn('model-bytes', done.stderr)
            self.settings.set('model-bytes', 't', limit)
            run_ctl(self.service, 'import', other)
            run_ctl(self.service, 'delete', 'limited')

    # ---- llmctl ----

    def test_llmctl(self):
        ctl = lambda *args, **kwargs: run_ctl(self.service, 'config', *args, **kwargs)
        self.assertIn('keep-alive           300', ctl())
        self.assertEqual(ctl(), ctl('list'))
        ctl('set', 'artifact-bytes', '2GiB')
        self.assertEqual(ctl('get', 'artifact-bytes'), '2147483648\n')
        ctl('set', 'artifact-bytes', '5000000000')
        self.assertEqual(self.settings.get('artifact-bytes'), 5000000000)
        ctl('reset', 'artifact-bytes')
        self.assertEqual(self.settings.get('artifact-bytes'), 1 << 30)
        ctl('set', 'kv-type', 'q8_0')
        self.assertEqual(ctl('get', 'kv-type'), 'q8_0\n')
        ctl('set', 'model-overrides', "{'x': {'kv-type': <'f32'>}}")
        self.assertEqual(self.settings.get('model-overrides'), {'x:latest': {'kv-type': 'f32'}})
        for value, says in (('many', 'integer'), ('4294967296', 'from 0 to 256'), ('1.5', 'integer'), ('2GiB', 'integer')):
            self.assertIn(says, ctl('set', 'threads', value, status=1))
        self.assertIn('keep-alive', ctl('get', 'keepalive', status=1))
        self.assertIn('near ones', ctl('set', 'kv-typ', 'f16', status=1))
        self.assertIn('kept', ctl('set', 'last-gc', '1', status=1))
        for wrong in (('dance',), ('get',), ('get', 'a', 'b'), ('set', 'a'), ('list', 'a')):
            self.assertIn('config takes', ctl(*wrong, status=2))
        self.assertIn('config [list', run_ctl(self.service, 'config', '--help'))

    def test_llmctl_describe(self):
        text = run_ctl(self.service, 'config', 'describe', 'context-window')
        for part in ('Context window in tokens', 'smaller of that and 8192', 'maximum', '16777216', 'when a model is loaded next'):
            self.assertIn(part, text)
        self.assertIn('automatic, manual', run_ctl(self.service, 'config', 'describe', 'gc-policy'))


class Remembered(unittest.TestCase):
    def test_session(self):
        """The user's own backend, here GLib's keyfile."""
        home = tempfile.mkdtemp(prefix='llm-home-')
        environment = {'GSETTINGS_BACKEND': 'keyfile', 'XDG_CONFIG_HOME': home}
        try:
            with h.Service(environment=environment) as service:
                Client(service).set('keep-alive', 'u', 42)
            with h.Service(environment=environment) as service:
                self.assertEqual(Client(service).get('keep-alive'), 42)
        finally:
            shutil.rmtree(home)


@unittest.skipIf(os.getuid() != 0, 'needs root, to be two users')
class System(unittest.TestCase):
    def setUp(self):
        self.state, self.etc = tempfile.mkdtemp(prefix='llm-state-'), tempfile.mkdtemp(prefix='llm-etc-')
        with open(os.path.join(self.etc, 'defaults'), 'w') as f:
            f.write('[org/local/LLM]\nkeep-alive=uint32 11\ncontext-window=uint32 64\n')
        with open(os.path.join(self.etc, 'locks'), 'w') as f:
            f.write('/org/local/LLM/context-window\n')

    def tearDown(self):
        shutil.rmtree(self.etc)
        shutil.rmtree(self.state, ignore_errors=True)

    def service(self):
        return h.Service(system=True, state=self.state, arguments=['--config-dir', self.etc])

    def test_everything(self):
        with self.service() as service:
            settings = Client(service)
            self.assertEqual((settings.get('keep-alive'), settings.get('context-window')), (11, 64))
            self.assertEqual(h.error_name(settings.set, 'context-window', 'u', 8), ('AccessDenied', 'context-window is locked by the administrator'))
            self.assertEqual(h.error_name(settings.call, 'Reset', 'context-window')[0], 'AccessDenied')
            facts = settings.call('Describe', 'context-window')[0]
            self.assertEqual((facts['writable'], facts['default'], facts['changed']), (False, 64, False))
            self.assertIn('by the administrator', run_ctl(service, 'config', 'describe', 'context-window'))
            self.assertEqual(run_ctl(service, 'config', 'get', 'keep-alive', prefix=OTHER_USER), '11\n')
            self.assertIn('administrator', run_ctl(service, 'config', 'set', 'keep-alive', '12', prefix=OTHER_USER, status=1))
            self.assertIn('administrator', run_ctl(service, 'config', 'reset', 'keep-alive', prefix=OTHER_USER, status=1))
            settings.set('keep-alive', 'u', 12)
            shutil.copytree(self.state, self.state + '.kept')
        os.rename(self.state + '.kept', self.state)
        with self.service() as service:
            self.assertEqual(Client(service).get('keep-alive'), 12)
            Client(service).call('Reset', 'keep-alive')
            self.assertEqual(Client(service).get('keep-alive'), 11)


if __name__ == '__main__':
    sys.exit(not unittest.main(exit=False, verbosity=1).result.wasSuccessful())
