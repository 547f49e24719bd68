# SPDX-License-Identifier: LGPL-2.1-or-later
"""Collections with no grace at all, racing imports, deletions, loads and requests: nothing that is named or in use ever goes.

LLM_GC_ROUNDS rounds.
"""
import os
import random
import shutil
import sys
import tempfile
import unittest

from gi.repository import Gio, GLib

import harness as h

ROUNDS = int(os.environ.get('LLM_GC_ROUNDS', '60'))
NAMES, VARIANTS = 4, 3
# What may become of a request for a model that somebody deletes meanwhile.
ALLOWED = {'ModelNotFound', 'Closed', 'Cancelled', 'Busy'}


class Race(unittest.TestCase):
    def setUp(self):
        self.state = tempfile.mkdtemp(prefix='llm-state-')
        self.random = random.Random(int(os.environ.get('LLM_GC_SEED', '1')))
        with open(os.path.join(os.environ['LLM_MODELS_DIR'], h.MODEL + '.gguf'), 'rb') as f:
            data = f.read()
        self.variants = [data + b'\0' * (64 * (i + 1)) for i in range(VARIANTS)]  # other bytes, the same model
        self.open_calls = self.answered = 0
        self.wrong = []

    def tearDown(self):
        shutil.rmtree(self.state, ignore_errors=True)

    def call(self, service, method, signature, arguments, path=h.PATH, interface=h.NAME, fds=None, then=None):
        def answered(connection, result):
            self.open_calls -= 1
            self.answered += 1
            try:
                reply = connection.call_with_unix_fd_list_finish(result)[0].unpack()
            except GLib.Error as error:
                name = Gio.DBusError.get_remote_error(error) or ''
                if name.rsplit('.', 1)[-1] not in ALLOWED | {'UnknownObject', 'UnknownMethod'}:
                    self.wrong.append((method, name, error.message))
                return
            if then is not None:
                then(reply)
        self.open_calls += 1
        service.connection.call_with_unix_fd_list(h.NAME, path, interface, method, GLib.Variant(signature, arguments), None, 0, 120000, fds, None, answered)

    def name(self):
        return f'n{self.random.randrange(NAMES)}'

    def do_import(self, service):
        fd = os.memfd_create('model')
        os.write(fd, self.random.choice(self.variants))
        fds = Gio.UnixFDList()
        fds.append(fd)
        os.close(fd)

        def finished(reply):
            pass

        self.call(service, 'Import', '(ahsa{sv})', ([0], self.name(), {}), fds=fds,
                  then=lambda reply: self.call(service, 'Wait', '()', (), path=reply[0], interface=h.NAME + '.Request', then=finished))

    def do_something(self, service):
        model = lambda method: self.call(service, 'GetModel', '(s)', (self.name(),), then=lambda reply: self.call(
            service, method, '(a{sv})', ({},), path=reply[0], interface=h.NAME + '.Model'))
        self.random.choice([
            lambda: self.do_import(service),
            lambda: self.call(service, 'Generate', '(ssa{sv})', (self.name(), h.PROMPT, h.v(max_tokens=4, temperature=0))),
            lambda: self.call(service, 'Generate', '(ssa{sv})', (h.MODEL, h.PROMPT, h.v(max_tokens=4, temperature=0))),
            lambda: model('Delete'),
            lambda: model('Unload'),
            lambda: self.call(service, 'CollectGarbage', '(a{sv})', ({},)),
        ])()

    def blobs(self):
        return set(os.listdir(os.path.join(self.state, 'blobs')))

    def named(self, service):
        models = service.call('ListModels', '(a{sv})', ({},))[0]
        return {properties['Digest'] for _, name, properties in models if not name.startswith(h.MODEL)}

    def check(self, service):
        """What goes between two looks was deleted by somebody; what is named all the time and not there, was not."""
        self.assertEqual(self.wrong, [])
        missing = self.named(service) - self.blobs()
        for _ in range(20):
            if missing:
                missing &= self.named(service) - self.blobs()
        self.assertEqual(missing, set())

    def test_race(self):
        with h.Service(state=self.state) as service:
            for key, value in (('gc-grace', 0), ('artifact-bytes', 1)):
                service.call('Set', '(sv)', (key, GLib.Variant('u', value)), interface=h.NAME + '.Settings')
            expected = service.generate(max_tokens=8, temperature=0)[0]
            for _ in range(ROUNDS):
                for _ in range(8):
                    self.do_something(service)
                h.spin(lambda: self.open_calls < 12)
                self.check(service)
            h.spin(lambda: self.open_calls == 0)
            self.check(service)
            named = self.named(service)
            for name in {m[1] for m in service.call('ListModels', '(a{sv})', ({},))[0]}:
                self.assertEqual(service.generate(model=name, max_tokens=8, temperature=0)[0], expected)
            self.assertEqual(service.statistics()['broker']['engine-losses'], 0)
            h.wait_for(lambda: service.call('CollectGarbage', '(a{sv})', ({},)) and self.blobs() == named)
        print(f'{ROUNDS} rounds, {self.answered} calls', file=sys.stderr)


if __name__ == '__main__':
    sys.exit(not unittest.main(exit=False, verbosity=1).result.wasSuccessful())
