# SPDX-License-Identifier: LGPL-2.1-or-later
"""The extension's client by gjs alone (client.js), against the built service on buses of its own."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'bus'))
import harness as h  # noqa: E402

MODULE = os.environ['LLM_CLIENT_MODULE']


def command(test, *args):
    return ['gjs', '-m', os.path.join(HERE, 'client.js'), MODULE, test, *args]


class Client(unittest.TestCase):
    def run_test(self, test, *args, system=False):
        slow = {} if test in ('answer', 'errors') else {'LLM_CPU_ISA': 'scalar'}  # so that there is a midst of the stream
        with h.Service(system=system, environment=slow) as service:
            done = subprocess.run(command(test, *args),
                                  env=service.bus.environment(), capture_output=True, text=True, timeout=h.PATIENCE)
            self.assertEqual((done.returncode, done.stderr), (0, ''))

    def expected(self, service):
        answer, _ = service.generate(temperature=0, max_tokens=200)
        self.assertGreater(len(answer), 20)
        return answer

    def test_answer(self):
        with h.Service() as service:
            expected = self.expected(service)
        self.run_test('answer', expected)
        if os.getuid() == 0:
            self.run_test('answer', expected, system=True)

    def test_stop(self):
        self.run_test('stop')

    def test_stop_at_once(self):
        self.run_test('stopAtOnce')

    def test_destroy_in_mid_stream(self):
        self.run_test('destroyInMidStream')

    def test_destroy_at_once(self):
        self.run_test('destroyAtOnce')

    def test_errors(self):
        self.run_test('errors')

    def test_words(self):
        with open(os.path.join(os.environ['LLM_INTROSPECTION_DIR'], 'org.local.LLM.xml')) as f:
            text = re.search(r'Errors: (.*?)-->', f.read(), re.S).group(1)
        ours, dbus = text.split('org.freedesktop.DBus.Error.')
        names = ['org.local.LLM.Error.' + n for n in re.findall(r'\b[A-Z]\w+', ours) if n not in ('LLM', 'Error')]
        names += ['org.freedesktop.DBus.Error.' + n for n in re.findall(r'\b[A-Z]\w+', dbus)]
        never = ('org.local.LLM.Error.DiskFull', 'org.freedesktop.DBus.Error.UnknownObject')  # for a question
        self.run_test('words', *(n for n in names if n not in never))

    def test_service_comes_and_goes(self):
        bus, state, nothing = h.Bus(), tempfile.mkdtemp(), tempfile.mkdtemp()
        environment = dict(bus.environment(), LLM_MODELS_DIR=nothing, LLM_CPU_ISA='scalar')
        model = os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-chat.gguf')
        service = None
        client = subprocess.Popen(command('comesAndGoes'), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            for line in client.stdout:
                if line == 'start\n':
                    service = subprocess.Popen([os.environ['LLMD'], '--session', '--state-dir', state, '--cache-dir', os.path.join(state, 'cache')], env=environment, stderr=subprocess.DEVNULL)
                elif line == 'import\n':
                    subprocess.run([os.environ['LLMCTL'], '--session', 'import', model, 'tiny'], env=environment, check=True, stdout=subprocess.DEVNULL)
                elif line == 'kill\n':
                    service.send_signal(signal.SIGKILL)
            self.assertEqual((client.wait(h.PATIENCE), client.stderr.read()), (0, ''))
        finally:
            client.kill()
            client.communicate()
            if service is not None:
                service.kill()
                service.wait()
            bus.close()
            shutil.rmtree(state)
            shutil.rmtree(nothing)


if __name__ == '__main__':
    if shutil.which('gjs') is None:
        print('there is no gjs here')
        sys.exit(77)
    unittest.main(verbosity=2)
