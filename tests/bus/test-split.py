# SPDX-License-Identifier: LGPL-2.1-or-later
"""Models in several files: imported in any order and in several calls, refused when a part is wrong, gone without a trace when given up."""
import hashlib
import os
import tempfile
import unittest

from gi.repository import Gio, GLib

import harness as h
from split_gguf import split

REQUEST = h.NAME + '.Request'
PROPERTIES = 'org.freedesktop.DBus.Properties'


def memfd(data):
    fd = os.memfd_create('part', os.MFD_CLOEXEC)
    with os.fdopen(os.dup(fd), 'wb') as f:
        f.write(data)
    return fd


def digest_of(parts):
    return 'sha256-' + hashlib.sha256(b''.join(b'sha256-%s\n' % hashlib.sha256(p).hexdigest().encode() for p in parts)).hexdigest()


class Split(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = h.Service()
        with open(os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-chat.gguf'), 'rb') as f:
            cls.data = f.read()
        cls.expected = cls.service.generate(temperature=0, max_tokens=20)[0]

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def send(self, parts, name='split', connection=None, service=None, append_to=None, **options):
        """One call of Import; the request's path."""
        fds, options = Gio.UnixFDList(), h.v(**options)
        if append_to is not None:
            options['append-to'] = GLib.Variant('o', append_to)
        for part in parts:
            fd = part if isinstance(part, int) else memfd(part)
            fds.append(fd)
            os.close(fd)
        return (service or self.service).call('Import', '(ahsa{sv})', (list(range(len(parts))), name, options), connection, fds=fds)[0]

    def wait(self, path, connection=None, service=None):
        return (service or self.service).call('Wait', None, (), connection, path=path, interface=REQUEST)[0]

    def state(self, path):
        return self.service.call('Get', '(ss)', (REQUEST, 'State'), path=path, interface=PROPERTIES)[0]

    def expect(self, wanted, function, *args, says=(), **kwargs):
        name, message = h.error_name(function, *args, **kwargs)
        self.assertEqual(name, wanted, message)
        for part in says:
            self.assertIn(part, message)

    def refused(self, parts, *says):
        self.expect('InvalidModel', lambda: self.wait(self.send(parts)), says=says)
        self.assert_nothing_left()

    def files(self, folder):
        return os.listdir(os.path.join(self.service.state, folder))

    def assert_nothing_left(self):
        h.wait_for(lambda: not self.files('blobs') and not self.files('tmp'))

    def delete(self, name):
        path = self.service.call('GetModel', '(s)', (name,))[0]
        self.service.call('Delete', '(a{sv})', ({},), path=path, interface=h.NAME + '.Model')

    def model(self, name):
        return {m[1]: m[2] for m in self.service.call('ListModels', '(a{sv})', ({},))[0]}[name + ':latest']

    def works(self, name='split'):
        self.assertEqual(self.service.generate(model=name, temperature=0, max_tokens=20)[0], self.expected)

    # ---- what is right ----

    def test_three_parts_in_any_order(self):
        parts = split(self.data, 3)
        for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
            result = self.wait(self.send([parts[i] for i in order]))
            self.assertEqual(result['digest'], digest_of(parts))
            self.works()
        properties = self.model('split')
        self.assertEqual(properties['Size'], sum(map(len, parts)))
        self.assertEqual(properties['Architecture'], 'llama')
        self.assertEqual(properties['ParameterCount'], self.model('tiny-chat')['ParameterCount'])
        self.assertEqual(len(self.files('blobs')), 3)
        self.delete('split')
        self.assert_nothing_left()

    def test_eighteen_parts_in_two_calls(self):
        parts = split(self.data, 18)
        request = self.send(parts[:16], more=True)
        self.assertEqual(self.state(request), 'collecting')
        self.assertEqual(self.send(parts[16:], append_to=request), request)
        self.assertEqual(self.wait(request)['digest'], digest_of(parts))
        self.works()
        self.delete('split')
        self.assert_nothing_left()

    def test_one_by_one(self):
        parts = split(self.data, 3)
        request = self.send(parts[2:], more=True, handle_token='slowly')
        self.assertTrue(request.endswith('/slowly'))
        self.send(parts[:1], append_to=request, more=True)
        h.wait_for(lambda: len(self.files('blobs')) == 2)
        self.assertEqual(self.state(request), 'collecting')
        self.send(parts[1:2], append_to=request)
        self.wait(request)
        self.works()
        self.delete('split')
        self.assert_nothing_left()

    def test_shared_parts(self):
        """Two names of the same parts: the blobs stay until the second goes."""
        parts = split(self.data, 3)
        self.wait(self.send(parts, 'one'))
        self.wait(self.send(parts, 'two'))
        self.assertEqual(len(self.files('blobs')), 3)
        self.delete('one')
        self.works('two')
        self.delete('two')
        self.assert_nothing_left()

    def loaded(self):
        return [m['digest'] for m in self.service.statistics()['engine'].get('models', [])]

    def test_replaced_while_loaded(self):
        """Weights that no name stands for any more leave the engine, at once or when nobody is in the middle of them."""
        parts = split(self.data, 3)
        digest = self.wait(self.send(parts))['digest']
        self.works()
        self.assertIn(digest, self.loaded())
        stream = h.Stream(self.service, h.user(h.PROMPT), model='split', temperature=2.0)
        h.spin(lambda: stream.text != '' or stream.finished)
        self.wait(self.send(split(self.data, 4)))
        self.assertEqual(stream.wait()[0], '')  # it has not noticed
        h.wait_for(lambda: digest not in self.loaded())
        self.works()
        self.delete('split')
        self.assertEqual(len(self.loaded()), 1)
        self.assert_nothing_left()

    def test_deleted_under_one_of_two_names(self):
        parts = split(self.data, 3)
        self.wait(self.send(parts, 'one'))
        digest = self.wait(self.send(parts, 'two'))['digest']
        stream = h.Stream(self.service, h.user(h.PROMPT), model='two', temperature=2.0)
        h.spin(lambda: stream.text != '' or stream.finished)
        self.delete('one')
        self.assertEqual(stream.wait()[0], '')
        self.assertIn(digest, self.loaded())
        self.delete('two')
        self.assertNotIn(digest, self.loaded())
        self.assert_nothing_left()

    def test_bundled_parts(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            for i, part in enumerate(split(self.data, 3)):
                with open(os.path.join(folder, f'data-{i}'), 'wb') as f:
                    f.write(part)
                os.symlink(f'data-{i}', os.path.join(folder, f'pieces-{i + 1:05}-of-00003.gguf'))
            os.mkfifo(os.path.join(folder, 'pipe.gguf'))  # nobody waits for its writer
            with h.Service(models_dir=folder) as service:
                self.assertEqual([m[1] for m in service.call('ListModels', '(a{sv})', ({},))[0]], ['pieces:latest'])
                self.assertEqual(service.generate(temperature=0, max_tokens=20)[0], self.expected)

    def test_own_model_before_a_bundled_one(self):
        """An import under the name of a bundled model is still there after a restart; a bundled one whose file is gone is not."""
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            for name in ('mine', 'gone'):
                with open(os.path.join(folder, name + '.gguf'), 'wb') as f:
                    f.write(self.data)
            first = h.Service(models_dir=folder)
            self.addCleanup(first.bus.close)
            parts = split(self.data, 3)
            self.wait(self.send(parts, 'mine', service=first), service=first)
            first.process.terminate()
            self.assertEqual(first.process.wait(), 0)
            os.unlink(os.path.join(folder, 'gone.gguf'))
            with h.Service(models_dir=folder, state=first.state) as second:
                models = {m[1]: m[2] for m in second.call('ListModels', '(a{sv})', ({},))[0]}
                self.assertEqual(list(models), ['mine:latest'])
                self.assertEqual((models['mine:latest']['Source'], models['mine:latest']['Digest']), ('import', digest_of(parts)))

    # ---- what is wrong ----

    def test_wrong_parts(self):
        parts, four = split(self.data, 3), split(self.data, 4)
        self.refused(parts[:2], 'missing', ': 3;')
        self.refused(parts[1:2], 'missing', ': 1, 3;')
        self.refused([parts[0], parts[1], parts[1], parts[2]], 'part 2 of 3', 'twice')
        self.refused([parts[0], four[1], parts[2]], 'file 2', 'part of 4')
        self.refused([parts[0], parts[1], self.data], 'file 3 of 3', 'no part')
        self.refused([self.data, self.data], 'file 1 of 2', 'no part')
        self.refused(split(self.data, 3, count=2)[:2], 'split.tensors.count')
        self.refused(split(self.data, 3, total=7), 'split.tensors.count is 7')
        self.refused([parts[0], parts[1], split(self.data, 3, total=7)[2]], 'part 3 of 3', 'another model')
        for length in (0, 3, 20, 100, len(parts[1]) // 2, len(parts[1]) - 1):
            self.refused([parts[0], parts[1][:length], parts[2]], 'file 2 of 3', 'cut off')
        tensor_twice = parts[2].replace(b'blk.4.', b'blk.0.')
        self.assertNotEqual(tensor_twice, parts[2])
        self.refused([parts[0], parts[1], tensor_twice], 'stands in part', 'part 3')

    def test_wrong_appends(self):
        parts = split(self.data, 3)
        request = self.send(parts[:1], more=True)
        self.expect('InvalidArgs', self.send, parts[1:], append_to=request + 'x', says=['append-to', 'no request'])
        self.expect('InvalidArgs', self.send, parts[1:], name='other', append_to=request, says=['split:latest', 'other:latest'])
        self.expect('InvalidArgs', self.send, parts[1:], append_to=request, handle_token='a', says=['handle-token'])
        self.expect('InvalidArgs', self.send, [], append_to=request, says=['0 files'])
        fds = Gio.UnixFDList.new_from_array([memfd(b'x')])  # 17 of their own would cost us the bus
        self.expect('InvalidArgs', self.service.call, 'Import', '(ahsa{sv})', ([0] * 17, 'split', {}), fds=fds, says=['17 files', '16'])
        self.expect('InvalidArgs', self.service.call, 'Import', '(ahsa{sv})', ([1], 'split', {}), fds=fds, says=['descriptor 1'])
        self.expect('InvalidArgs', self.send, parts[1:], append_to=request, connection=self.service.bus.connect(), says=['no request'])
        stream = h.Stream(self.service, h.user(h.PROMPT), max_tokens=1)
        self.expect('InvalidArgs', self.send, parts[1:], append_to=stream.path, says=['takes no more files'])
        stream.wait()
        self.send(parts[1:], append_to=request)  # nothing of that has harmed it
        self.wait(request)
        self.delete('split')
        self.expect('InvalidArgs', self.send, parts[1:], append_to=request)

    def test_too_many_files(self):
        request = self.send([b'x'] * 16, more=True)
        for _ in range(7):
            h.wait_for(lambda: self.try_send([b'x'] * 16, request))
        h.wait_for(lambda: self.service.call('Get', '(ss)', (REQUEST, 'Completed'), path=request, interface=PROPERTIES)[0] == 128)
        self.expect('LimitsExceeded', self.send, [b'x'], append_to=request, says=['129', '128'])
        self.service.call('Cancel', None, (), path=request, interface=REQUEST)
        self.assert_nothing_left()

    def try_send(self, parts, request):
        name, message = h.error_name(self.send, parts, append_to=request, more=True)
        self.assertIn(name, (None, 'QuotaExceeded'), message)
        return name is None

    def test_quota(self):
        """64 files may wait to be copied; then they are refused, and when the import is given up all are free again."""
        data = b'x' * (8 << 20)
        fd = memfd(data)
        send = lambda **options: self.send([os.dup(fd) for _ in range(16)], **options)
        request = send(more=True)
        names = [h.error_name(send, append_to=request, more=True)[0] for _ in range(5)]
        self.assertIn('QuotaExceeded', names)
        self.assertNotIn(names[0], ('QuotaExceeded',))
        self.service.call('Cancel', None, (), path=request, interface=REQUEST)
        self.assert_nothing_left()
        h.wait_for(lambda: h.error_name(lambda: self.cancel(send(more=True)))[0] is None)
        os.close(fd)
        self.assert_nothing_left()

    def cancel(self, request):
        self.service.call('Cancel', None, (), path=request, interface=REQUEST)

    # ---- given up ----

    def test_caller_gone(self):
        connection = self.service.bus.connect()
        request = self.send(split(self.data, 3)[:2], more=True, connection=connection)
        h.wait_for(lambda: len(self.files('blobs')) == 2)
        self.expect('UnknownObject', self.wait, request)  # it is its caller's alone
        connection.close_sync(None)
        self.assert_nothing_left()
        h.wait_for(lambda: self.service.statistics()['broker']['requests-live'] == 0)

    def test_caller_gone_in_mid_copy(self):
        connection = self.service.bus.connect()
        self.send([b'x' * (64 << 20)] * 3, more=True, connection=connection)
        connection.close_sync(None)
        self.assert_nothing_left()

    def test_cancelled(self):
        request = self.send(split(self.data, 3)[:2], more=True)
        self.cancel(request)
        self.expect('Cancelled', self.wait, request)
        self.assert_nothing_left()

    def test_service_killed(self):
        """What it had copied and not committed is gone at the next start."""
        service = h.Service()
        self.addCleanup(service.bus.close)
        self.send(split(self.data, 3)[:2], more=True, service=service)
        blobs = os.path.join(service.state, 'blobs')
        h.wait_for(lambda: len(os.listdir(blobs)) == 2)
        service.process.kill()
        service.process.wait()
        with h.Service(state=service.state):
            self.assertEqual(os.listdir(blobs), [])


if __name__ == '__main__':
    unittest.main(verbosity=2)
