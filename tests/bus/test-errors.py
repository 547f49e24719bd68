# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything a client can do wrong gets its typed error, and the service goes on."""
import os
import signal
import struct
import tempfile
import unittest

from gi.repository import Gio, GLib

import harness as h


class Errors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = h.Service()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def expect(self, wanted, function, *args, says=(), **kwargs):
        name, message = h.error_name(function, *args, **kwargs)
        self.assertEqual(name, wanted, message)
        for part in says:
            self.assertIn(part, message)

    def test_models(self):
        self.expect('ModelNotFound', self.service.generate, model='nobody', says=['nobody'])
        self.expect('InvalidArgs', self.service.generate, model='../etc', says=['name'])
        self.expect('ModelNotFound', self.service.call, 'GetModel', '(s)', ('nobody',))
        self.assertEqual(self.service.call('Availability', '(sa{sv})', ('nobody', {}))[0], 'unavailable')
        self.assertEqual(self.service.call('Availability', '(sa{sv})', ('', {}))[0], 'available')

    def test_options(self):
        generate = self.service.generate
        self.expect('InvalidArgs', generate, nonsense=1, says=['nonsense', 'temperature'])
        for key, low, high in (('temperature', -0.01, 2.01), ('top_p', 0.0, 1.01), ('min_p', -0.01, 1.01), ('repetition_penalty', 0.0, 2.01),
                               ('frequency_penalty', -2.01, 2.01), ('presence_penalty', -2.01, 2.01), ('top_k', -1, 2097153), ('logprobs', -1, 21),
                               ('max_tokens', -1, 16777217), ('deadline_ms', -1, 86400001), ('seed', -1, -5)):
            for value in (low, high):
                self.expect('InvalidArgs', generate, **{key: value}, says=[key.replace('_', '-')])
        self.expect('InvalidArgs', generate, temperature='hot', says=['temperature', 'number'])
        self.expect('InvalidArgs', generate, stop=['x'] * 17, says=['stop', '16'])
        self.expect('InvalidArgs', generate, stop=['x' * 257], says=['stop', '256'])
        self.expect('InvalidArgs', generate, handle_token='a/b', says=['handle-token'])
        self.assertEqual(len(generate(max_tokens=1, stop=['x' * 256] * 16, logprobs=20, temperature=2, handle_token='a' * 64)[1]['logprobs'][0]['top']), 20)
        bias = {'logit-bias': GLib.Variant('a{ud}', {4000000000: 1.0})}
        self.expect('InvalidArgs', self.service.call, 'Generate', '(ssa{sv})', ('', 'x', bias), says=['logit-bias'])

    def test_messages(self):
        def chat(messages, method='Chat'):
            return self.service.call(method, '(saa{sv}a{sv})', ('', messages, h.v(max_tokens=1)))
        s = lambda text: GLib.Variant('s', text)
        self.expect('InvalidMessage', chat, [], says=['no messages'])
        self.expect('InvalidMessage', chat, [{'role': s('robot'), 'content': s('x')}], says=['message 0', 'user'])
        self.expect('InvalidMessage', chat, [{'content': s('x')}], says=['role'])
        self.expect('InvalidMessage', chat, [{'role': s('user')}], says=['content'])
        self.expect('InvalidMessage', chat, [{'role': s('user'), 'content': s('x'), 'foo': s('x')}], says=['foo'])
        self.expect('InvalidMessage', chat, [{'role': s('user'), 'content': GLib.Variant('i', 1)}], says=['content'])
        self.expect('InvalidMessage', chat, h.user('x') + [{'role': s('system'), 'content': s('x')}], says=['message 1', 'system'])
        self.expect('InvalidMessage', chat, h.user('x') + [{'role': s('assistant'), 'content': s('x')}], says=['assistant'])
        self.assertEqual(chat(h.user('Hello'))[0]['role'], 'assistant')

    def test_context(self):
        self.expect('ContextExceeded', self.service.generate, 'word ' * 2000, says=['1024'])
        text, result = self.service.generate('word ' * 100, max_tokens=1000000, temperature=1.5)
        self.assertLessEqual(result['context-used'], 1024)

    def test_tokens(self):
        call = self.service.call
        ids = call('Tokenize', '(ssa{sv})', ('', 'Once upon a time', {}))[0]
        self.assertEqual(call('Detokenize', '(saua{sv})', ('', ids, {}))[0], 'Once upon a time')
        self.expect('InvalidArgs', call, 'Detokenize', '(saua{sv})', ('', [1, 999999], {}), says=['999999'])
        self.expect('InvalidArgs', call, 'Tokenize', '(ssa{sv})', ('', 'x', h.v(foo=True)), says=['foo'])
        self.assertEqual(call('Tokenize', '(ssa{sv})', ('', 'x', h.v(add_special=True))), call('Tokenize', '(ssa{sv})', ('', 'x', {})))  # this one wants none
        self.assertGreater(call('CountTokens', '(saa{sv}a{sv})', ('', h.user('Once upon a time'), {}))[0], 3)

    def test_special_tokens(self):
        """A model that wants a first token gets it when asked."""
        flag = b'tokenizer.ggml.add_bos_token' + struct.pack('<IB', 7, 0)
        data = self.bundled()
        self.assertIn(flag, data)
        self.import_bytes(data.replace(flag, flag[:-1] + b'\1'))
        ids = {special: self.service.call('Tokenize', '(ssa{sv})', ('imported', 'x', h.v(add_special=special)))[0] for special in (False, True)}
        self.assertEqual(ids[True][1:], ids[False])
        self.assertEqual(len(ids[True]), len(ids[False]) + 1)
        path = next(m[0] for m in self.service.call('ListModels', '(a{sv})', ({},))[0] if m[1] == 'imported:latest')
        self.service.call('Delete', '(a{sv})', ({},), path=path, interface=h.NAME + '.Model')

    def test_handle_token_in_use(self):
        self.service.generate(max_tokens=1)
        os.kill(self.service.engine_pid(), signal.SIGSTOP)  # so that it does not end
        stream = h.Stream(self.service, h.user(h.PROMPT), handle_token='mine', max_tokens=400)
        self.assertTrue(stream.path.endswith('/mine'))
        self.expect('InvalidArgs', self.service.call, 'Stream', '(saa{sv}a{sv})', ('', h.user('x'), h.v(handle_token='mine')), says=['handle-token'])
        self.service.call('Cancel', None, (), path=stream.path, interface=h.NAME + '.Request')
        os.kill(self.service.engine_pid(), signal.SIGCONT)
        self.assertTrue(stream.wait()[0].endswith('.Cancelled'))

    def test_deadline(self):
        self.expect('Cancelled', self.service.generate, max_tokens=0, deadline_ms=1, temperature=2.0, says=['deadline'])

    def test_outputs(self):
        def to_fd(fd):
            fds = Gio.UnixFDList()
            handle = fds.append(fd)
            os.close(fd)
            return self.service.call('GenerateToFd', '(hssa{sv})', (handle, '', h.PROMPT, h.v(max_tokens=3)), fds=fds)
        self.expect('InvalidArgs', to_fd, os.open('/dev/null', os.O_WRONLY), says=['device node'])
        self.expect('InvalidArgs', to_fd, os.open('/tmp', os.O_RDONLY))
        self.expect('InvalidArgs', to_fd, os.open(os.environ['LLMD'], os.O_RDONLY), says=['writing'])
        with tempfile.NamedTemporaryFile() as f:
            to_fd(os.open(f.name, os.O_WRONLY))
            self.assertGreater(os.path.getsize(f.name), 3)
        reader, writer = os.pipe()
        os.close(reader)
        self.expect('Cancelled', to_fd, writer)

    # ---- model files ----

    def do_import(self, fd, name='imported'):
        fds = Gio.UnixFDList()
        handle = fds.append(fd)
        os.close(fd)
        path = self.service.call('Import', '(ahsa{sv})', ([handle], name, {}), fds=fds)[0]
        return self.service.call('Wait', None, (), path=path, interface=h.NAME + '.Request')[0]

    def import_bytes(self, data):
        with tempfile.TemporaryFile() as f:
            f.write(data)
            f.flush()
            return self.do_import(os.dup(f.fileno()))

    def bundled(self):
        with open(os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-chat.gguf'), 'rb') as f:
            return f.read()

    def test_import_wrong_fds(self):
        self.expect('InvalidArgs', self.do_import, os.open('/dev/zero', os.O_RDONLY), says=['device node'])
        self.expect('InvalidArgs', self.do_import, os.pipe()[0], says=['pipe'])
        self.expect('InvalidArgs', self.do_import, os.open('/tmp', os.O_RDONLY), says=['directory'])
        self.expect('InvalidArgs', self.do_import, os.open('/tmp/write-only', os.O_WRONLY | os.O_CREAT), says=['reading'])
        self.expect('InvalidArgs', self.service.call, 'Import', '(ahsa{sv})', ([], 'x', {}), says=['0 files'])

    def test_import_broken_files(self):
        data = self.bundled()
        self.expect('InvalidModel', self.import_bytes, b'', says=['cut off'])
        self.expect('InvalidModel', self.import_bytes, b'#!/bin/sh\n' * 10, says=['no GGUF'])
        for length in (3, 4, 8, 16, 24, 100, 1000, 20000, len(data) // 2, len(data) - 1):
            self.expect('InvalidModel', self.import_bytes, data[:length], says=['cut off'])
        self.expect('InvalidModel', self.import_bytes, data[:8] + struct.pack('<Q', 1 << 60) + data[16:], says=['tensor count'])
        self.expect('InvalidModel', self.import_bytes, data.replace(b'llama.block_count', b'llama.block_counT', 1), says=['block_count'])
        self.expect('NotSupported', self.import_bytes, data.replace(b'\x05\0\0\0\0\0\0\0llama', b'\x05\0\0\0\0\0\0\0klama', 1), says=['klama'])
        self.assertEqual([m[1] for m in self.service.call('ListModels', '(a{sv})', ({},))[0]], ['tiny-chat:latest'])
        self.assertEqual(os.listdir(os.path.join(self.service.state, 'blobs')), [])
        h.wait_for(lambda: os.listdir(os.path.join(self.service.state, 'tmp')) == [])

    def test_import_and_delete(self):
        result = self.import_bytes(self.bundled())
        self.assertEqual(result['name'], 'imported:latest')
        listed = {m[1]: m for m in self.service.call('ListModels', '(a{sv})', ({},))[0]}
        self.assertEqual(listed['imported:latest'][2]['Source'], 'import')
        self.assertGreater(len(self.service.generate(model='imported', max_tokens=5)[0]), 0)
        model = lambda name, method: self.service.call(method, '(a{sv})', ({},), path=listed[name][0], interface=h.NAME + '.Model')
        model('imported:latest', 'Delete')
        self.expect('ModelNotFound', self.service.generate, model='imported')
        self.expect('NotSupported', model, 'tiny-chat:latest', 'Delete')
        self.assertEqual(os.listdir(os.path.join(self.service.state, 'blobs')), [])

    def test_load_and_unload(self):
        path = self.service.call('GetModel', '(s)', (h.MODEL,))[0]
        request = self.service.call('Load', '(a{sv})', ({},), path=path, interface=h.NAME + '.Model')[0]
        self.assertEqual(self.service.call('Wait', None, (), path=request, interface=h.NAME + '.Request')[0]['context-window'], 1024)
        self.assertEqual(self.service.call('Get', '(ss)', (h.NAME, 'LoadedModels'), interface='org.freedesktop.DBus.Properties')[0], [path])
        objects = self.service.call('GetManagedObjects', interface='org.freedesktop.DBus.ObjectManager')[0]
        self.assertEqual(objects[path][h.NAME + '.Model']['State'], 'loaded')
        self.assertIn('/org/local/LLM/device/cpu', objects)
        stream = h.Stream(self.service, h.user(h.PROMPT), temperature=1.5)
        self.service.call('Unload', '(a{sv})', ({},), path=path, interface=h.NAME + '.Model')
        self.assertIn(stream.wait()[0], ('', 'org.local.LLM.Error.Closed'))
        self.assertEqual(self.service.call('Get', '(ss)', (h.NAME, 'LoadedModels'), interface='org.freedesktop.DBus.Properties')[0], [])

    def test_invalid_bus_text(self):
        self.assertEqual(self.service.generate('\u0394\u4f60\U0001f600', max_tokens=1)[1]['output-tokens'], 1)


if __name__ == '__main__':
    unittest.main(verbosity=2)
