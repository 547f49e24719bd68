# SPDX-License-Identifier: LGPL-2.1-or-later
"""llmctl against the service."""
import os
import signal
import subprocess
import time
import unittest

import harness as h


class LlmCtl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = h.Service()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def run_ctl(self, *args, status=0, **kwargs):
        done = subprocess.run([os.environ['LLMCTL'], *args], env=dict(self.service.bus.environment(), LC_ALL='C.UTF-8'), capture_output=True, text=True,
                              timeout=60, **kwargs)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def test_help(self):
        self.assertIn('import FILE', self.run_ctl('--help').stdout)
        self.assertIn('--temperature', self.run_ctl('run', '--help').stdout)
        self.assertIn('no command', self.run_ctl('dance', status=2).stderr)
        self.run_ctl(status=2)

    def test_models(self):
        self.assertIn('tiny-stories:latest', self.run_ctl('list').stdout)
        self.assertIn('CC0', self.run_ctl('show', 'tiny-stories').stdout)
        self.assertIn('no model', self.run_ctl('show', 'nobody', status=1).stderr)
        file = os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-stories.gguf')
        self.assertEqual(self.run_ctl('import', file, 'copy:1').stdout, 'copy:1\n')
        self.assertIn('No such file', self.run_ctl('import', '/nonexistent', status=1).stderr)

    def test_run(self):
        once = self.run_ctl('run', '-t', '0', '-n', '20', '-v', '', h.PROMPT)
        self.assertEqual(once.stdout, self.service.generate(temperature=0, max_tokens=20)[0] + '\n')
        self.assertIn('per second', once.stderr)
        self.assertIn('tiny-stories', self.run_ctl('ps').stdout)
        self.assertIn('Version', self.run_ctl('status').stdout.replace('version', 'Version'))

    def test_chat(self):
        done = self.run_ctl('run', '-n', '5', input='Hello\nOnce upon a time\n\n')
        self.assertEqual(len(done.stdout.splitlines()) >= 2, True)

    def test_interrupt(self):
        process = subprocess.Popen([os.environ['LLMCTL'], 'run', '-t', '2', '', h.PROMPT], env=self.service.bus.environment(), stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        self.assertIn(process.wait(10), (0, 130))
        h.wait_for(lambda: self.service.statistics()['broker']['requests-live'] == 0, 5)


if __name__ == '__main__':
    unittest.main(verbosity=2)
