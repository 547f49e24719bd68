# SPDX-License-Identifier: LGPL-2.1-or-later
"""Damaged weights are found, put aside and served no more; touched ones are looked at before they are loaded; what is told of a model is kept."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from gi.repository import Gio, GLib

import harness as h
from split_gguf import split

REQUEST, MODEL = h.NAME + '.Request', h.NAME + '.Model'


class Verify(unittest.TestCase):
    def setUp(self):
        options = os.environ.get('ASAN_OPTIONS', '')
        self.service = h.Service(environment={'ASAN_OPTIONS': f'{options}:handle_sigbus=0'.strip(':')})
        with open(os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-chat.gguf'), 'rb') as f:
            self.data = f.read()
        self.other = self.data.replace(b'Tiny Chat', b'Tiny Chaz')  # bytes of its own
        self.expected = self.service.generate(temperature=0, max_tokens=20)[0]

    def tearDown(self):
        self.service.__exit__(*sys.exc_info())

    def send(self, name, parts, **options):
        fds = Gio.UnixFDList()
        for part in parts:
            fd = os.memfd_create('part', os.MFD_CLOEXEC)
            with os.fdopen(fd, 'wb') as f:
                f.write(part)
                f.flush()
                fds.append(fd)
        path = self.service.call('Import', '(ahsa{sv})', (list(range(len(parts))), name, h.v(**options)), fds=fds)[0]
        return self.service.call('Wait', None, (), path=path, interface=REQUEST)[0]['digest']

    def blob(self, digest):
        return os.path.join(self.service.state, 'blobs', digest)

    def files(self, folder):
        return os.listdir(os.path.join(self.service.state, folder))

    def properties(self, name):
        return {m[1]: m[2] for m in self.service.call('ListModels', '(a{sv})', ({},))[0]}[name]

    def on_model(self, name, method, signature='(a{sv})', arguments=({},)):
        path = self.service.call('GetModel', '(s)', (name,))[0]
        return self.service.call(method, signature, arguments, path=path, interface=MODEL)

    def verify(self, name):
        request = self.on_model(name, 'Verify')[0]
        return self.service.call('Wait', None, (), path=request, interface=REQUEST)[0]

    def expect(self, wanted, function, *args, **kwargs):
        name, message = h.error_name(function, *args, **kwargs)
        self.assertEqual(name, wanted, message)
        return message

    def flip(self, path, at=-1, keep_time=True):
        """One bit of one byte; the time of the last change as before."""
        st = os.stat(path)
        os.chmod(path, 0o644)
        with open(path, 'r+b') as f:
            f.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
            byte = f.read(1)[0]
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte ^ 1]))
        os.chmod(path, 0o444)
        if keep_time:
            os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))

    def works(self, name):
        self.assertEqual(self.service.generate(model=name, temperature=0, max_tokens=20)[0], self.expected)

    def test_progress(self):
        progress = []
        self.send('mine', [self.other])
        self.service.connection.signal_subscribe(h.NAME, h.NAME, 'Progress', h.PATH, None, 0, lambda *a: progress.append(a[5].unpack()[1:]))
        self.assertEqual(self.verify('mine')['size'], len(self.other))
        h.spin(lambda: progress and progress[-1] == ('verify', len(self.other), len(self.other)))
        self.assertTrue(all(phase == 'verify' and 0 <= done <= total for phase, done, total in progress))

    def test_damaged(self):
        digest = self.send('mine', [self.other])
        self.works('mine')
        self.flip(self.blob(digest))
        self.assertIn('import the model again', self.expect('IntegrityFailed', self.verify, 'mine'))
        self.assertEqual(self.properties('mine:latest')['State'], 'damaged')
        state, details = self.service.call('Availability', '(sa{sv})', ('mine', {}))
        self.assertEqual((state, details['state']), ('unavailable', 'damaged'))
        self.expect('IntegrityFailed', self.service.generate, model='mine')
        self.assertEqual((self.files('blobs'), self.files('quarantine')), ([], [digest]))
        self.assertEqual(self.service.statistics()['store']['damaged-blobs'], 1)
        loaded = lambda: [m['digest'] for m in self.service.statistics()['engine'].get('models', [])]
        h.wait_for(lambda: digest not in loaded(), 10)
        self.works('')
        self.send('mine', [self.other])
        self.works('mine')
        self.verify('mine')
        self.assertEqual(self.properties('mine:latest')['State'], 'loaded')
        h.wait_for(lambda: self.files('quarantine') == [], 5)

    def test_damaged_while_used(self):
        """An answer in the making ends; the next request is refused."""
        digest = self.send('mine', [self.other])
        stream = h.Stream(self.service, h.user(h.PROMPT), model='mine', temperature=2.0)
        h.spin(lambda: stream.text != '' or stream.finished)
        self.flip(self.blob(digest))
        self.expect('IntegrityFailed', self.verify, 'mine')
        self.expect('IntegrityFailed', self.service.generate, model='mine')
        self.assertEqual(stream.wait()[0], '')

    def test_touched(self):
        """Loading looks closer at what somebody has been at; whole files are loaded all the same."""
        parts = split(self.data, 3)
        self.send('pieces', parts)
        blobs = [self.blob(b) for b in self.files('blobs')]
        for blob in blobs:
            os.utime(blob)
        self.works('pieces')
        self.assertEqual({os.stat(blob).st_mtime for blob in blobs}, {1})  # verified, and not the next time
        self.on_model('pieces', 'Unload')
        self.flip(blobs[1], keep_time=False)
        self.expect('IntegrityFailed', self.service.generate, model='pieces')
        self.assertEqual(self.properties('pieces:latest')['State'], 'damaged')
        self.assertEqual(self.service.statistics()['broker']['engine-losses'], 0)
        self.send('pieces', parts)
        self.works('pieces')

    def test_pinned(self):
        self.send('mine', [self.other], version='1.2', source='somewhere:org/model')
        properties = self.properties('mine:latest')
        self.assertEqual((properties['Version'], properties['Source'], properties['Pinned']), ('1.2', 'somewhere:org/model', False))
        self.works('mine')
        self.on_model('mine', 'SetPinned', '(b)', (True,))
        self.assertTrue(self.properties('mine:latest')['Pinned'])
        self.send('mine', [self.data], version='1.3')
        properties = self.properties('mine:latest')
        self.assertEqual((properties['Version'], properties['Source'], properties['Pinned']), ('1.3', 'import', True))
        self.on_model('mine', 'SetPinned', '(b)', (False,))
        self.assertFalse(self.properties('mine:latest')['Pinned'])

    def test_origin_limits(self):
        self.send('mine', [self.other], version='v' * 256)
        self.assertEqual(self.properties('mine:latest')['Version'], 'v' * 256)
        self.assertIn('257 bytes', self.expect('InvalidArgs', self.send, 'mine', [self.other], version='v' * 257))
        self.assertIn('bundled', self.expect('InvalidArgs', self.send, 'mine', [self.other], source='bundled'))

    def test_llmctl(self):
        def ctl(*args, status=0):
            done = subprocess.run([os.environ['LLMCTL'], *args], env=dict(self.service.bus.environment(), LC_ALL='C.UTF-8'), capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, status, done.stderr)
            return done

        digest = self.send('mine', [self.other])
        self.assertEqual(ctl('verify', 'mine', 'tiny-chat').stdout, 'mine is what was imported\ntiny-chat is what was imported\n')
        ctl('pin', 'mine')
        self.assertTrue(self.properties('mine:latest')['Pinned'])
        ctl('unpin', 'mine')
        self.assertFalse(self.properties('mine:latest')['Pinned'])
        self.flip(self.blob(digest))
        self.assertIn('does not have the bytes', ctl('verify', 'mine', status=1).stderr)
        self.assertIn('damaged', ctl('list').stdout)
        self.assertIn('no model', ctl('verify', 'nobody', status=1).stderr)
        ctl('verify', status=2)
        ctl('delete', 'mine')
        self.assertNotIn('mine', ctl('list').stdout)
        self.assertIn("system's packages", ctl('delete', 'tiny-chat', status=1).stderr)


class Bundled(unittest.TestCase):
    def test_damaged_in_place(self):
        """A bundled file stays where it is, but is not served."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)
        path = os.path.join(folder, 'mine.gguf')
        shutil.copy(os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-chat.gguf'), path)
        with h.Service(models_dir=folder) as service:
            expected = service.generate(temperature=0, max_tokens=20)[0]
            model = service.call('GetModel', '(s)', ('mine',))[0]
            service.call('Unload', '(a{sv})', ({},), path=model, interface=MODEL)
            os.utime(path)
            self.assertEqual(service.generate(temperature=0, max_tokens=20)[0], expected)
            service.call('Unload', '(a{sv})', ({},), path=model, interface=MODEL)
            Verify.flip(None, path, keep_time=False)
            self.assertEqual(h.error_name(service.generate)[0], 'IntegrityFailed')
            self.assertEqual(h.error_name(service.generate)[0], 'IntegrityFailed')
            self.assertTrue(os.path.exists(path))


if __name__ == '__main__':
    unittest.main(verbosity=2)
