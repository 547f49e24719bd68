# SPDX-License-Identifier: LGPL-2.1-or-later
"""llmctl against the service."""
import os
import signal
import subprocess
import tempfile
import time
import unittest

import harness as h
from split_gguf import split


class LlmCtl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = h.Service()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def run_ctl(self, *args, status=0, **kwargs):
        done = subprocess.run([os.environ['LLMCTL'], *args], env=dict(self.service.bus.environment(), LC_ALL='C.UTF-8'), capture_output=True, text=True,
                              timeout=h.PATIENCE, **kwargs)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def test_help(self):
        self.assertIn('import FILE', self.run_ctl('--help').stdout)
        self.assertIn('--temperature', self.run_ctl('run', '--help').stdout)
        self.assertIn('no command', self.run_ctl('dance', status=2).stderr)
        self.run_ctl(status=2)

    def test_models(self):
        self.assertIn('tiny-chat:latest', self.run_ctl('list').stdout)
        self.assertIn('CC0', self.run_ctl('show', 'tiny-chat').stdout)
        self.assertIn('no model', self.run_ctl('show', 'nobody', status=1).stderr)
        file = os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-chat.gguf')
        self.assertEqual(self.run_ctl('import', file, 'copy:1').stdout, 'copy:1\n')
        self.assertIn('No such file', self.run_ctl('import', '/nonexistent', status=1).stderr)

    def write_parts(self, folder, n):
        with open(os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-chat.gguf'), 'rb') as f:
            parts = split(f.read(), n)
        paths = [os.path.join(folder, f'pieces-{i + 1:05}-of-{n:05}.gguf') for i in range(n)]
        for path, part in zip(paths, parts):
            with open(path, 'wb') as f:
                f.write(part)
        return paths

    def test_import_parts(self):
        expected = self.run_ctl('run', '-t', '0', '-n', '10', '', h.PROMPT).stdout
        works = lambda name: self.assertEqual(self.run_ctl('run', '-t', '0', '-n', '10', name, h.PROMPT).stdout, expected)
        with tempfile.TemporaryDirectory() as folder:
            paths = self.write_parts(folder, 3)
            self.assertEqual(self.run_ctl('import', paths[0]).stdout, 'pieces:latest\n')
            works('pieces')
            self.assertEqual(self.run_ctl('import', paths[1], 'other').stdout, 'other:latest\n')
            self.assertEqual(self.run_ctl('import', *reversed(paths), 'all:3').stdout, 'all:3\n')
            works('all:3')
            self.assertIn('missing: 3', self.run_ctl('import', *paths[:2], status=1).stderr)
            self.assertIn('comes last', self.run_ctl('import', paths[0], 'name', paths[1], status=2).stderr)
            self.assertIn('a file is needed', self.run_ctl('import', status=2).stderr)
            os.unlink(paths[2])
            self.assertIn('pieces-00003-of-00003.gguf: No such file', self.run_ctl('import', paths[0], status=1).stderr)
            self.assertIn('at most 128', self.run_ctl('import', os.path.join(folder, 'x-00001-of-00129.gguf'), status=2).stderr)

    def test_import_many_parts(self):
        """More than fit one message: they go in several."""
        with tempfile.TemporaryDirectory() as folder:
            paths = self.write_parts(folder, 40)
            self.assertEqual(self.run_ctl('import', paths[39]).stdout, 'pieces:latest\n')
            self.assertEqual(len(self.run_ctl('run', '-t', '0', '-n', '10', 'pieces', h.PROMPT).stdout) > 10, True)
            os.unlink(paths[38])
            self.run_ctl('import', *paths[:38], paths[39], 'broken', status=1)
            with open(paths[38], 'wb') as f:  # in the third message
                f.write(b'GGUF')
            self.assertIn('file 39 of 40', self.run_ctl('import', paths[0], 'broken', status=1).stderr)
        self.assertNotIn('broken', self.run_ctl('list').stdout)
        h.wait_for(lambda: os.listdir(os.path.join(self.service.state, 'tmp')) == [])

    def test_run(self):
        once = self.run_ctl('run', '-t', '0', '-n', '20', '-v', '', h.PROMPT)
        self.assertEqual(once.stdout, self.service.generate(temperature=0, max_tokens=20)[0] + '\n')
        self.assertIn('per second', once.stderr)
        self.assertIn('tiny-chat', self.run_ctl('ps').stdout)
        self.assertIn('Version', self.run_ctl('status').stdout.replace('version', 'Version'))

    def test_chat(self):
        done = self.run_ctl('run', '-n', '5', input='Hello\nOnce upon a time\n\n')
        self.assertEqual(len(done.stdout.splitlines()) >= 2, True)

    def test_interrupt(self):
        process = subprocess.Popen([os.environ['LLMCTL'], 'run', '-t', '2', '', h.PROMPT], env=self.service.bus.environment(), stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        self.assertIn(process.wait(h.PATIENCE), (0, 130))
        h.wait_for(lambda: self.service.statistics()['broker']['requests-live'] == 0)


if __name__ == '__main__':
    unittest.main(verbosity=2)
