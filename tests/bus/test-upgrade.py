# SPDX-License-Identifier: LGPL-2.1-or-later
"""Updates of the engine, and back, on one store."""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness as h


def tree(folder):
    """Relative paths of all files -> size."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            found[os.path.relpath(full, folder)] = os.lstat(full).st_size
    return found


def collect(service, **options):
    return service.call('CollectGarbage', '(a{sv})', (h.v(**options),))[0]


NOTE = b'\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0'  # of the linker's build id, 20 bytes long


def version_of(program):
    return subprocess.run([program, '--version'], capture_output=True, text=True, check=True).stdout.split()[-1]


class Engines:
    """The service as other versions and builds: copies of the programs with these few bytes changed."""

    def __init__(self, folder):
        self.folder = folder
        self.version = version_of(os.environ['LLMD']).encode()

    def make(self, version, build):
        folder = os.path.join(self.folder, f'{version}-{build}')
        if not os.path.exists(folder):
            os.makedirs(folder)
            assert len(version) == len(self.version), (version, self.version)
            for variable in ('LLMD', 'LLM_ENGINE'):
                with open(os.environ[variable], 'rb') as f:
                    program = f.read().replace(self.version, version.encode())
                at = program.index(NOTE) + len(NOTE)
                program = program[:at] + hashlib.sha1(f'{version} {build}'.encode()).digest() + program[at + 20:]
                path = os.path.join(folder, variable)
                with open(path, 'wb') as f:
                    f.write(program)
                os.chmod(path, 0o755)
        return {'LLMD': os.path.join(folder, 'LLMD'), 'LLM_ENGINE': os.path.join(folder, 'LLM_ENGINE')}


class Upgrade(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='llm-upgrade-')
        self.state = os.path.join(self.folder, 'state')
        self.cache = os.path.join(self.state, 'cache')
        home = os.path.join(self.folder, 'home')
        self.environment = {'GSETTINGS_BACKEND': 'keyfile', 'XDG_CONFIG_HOME': home}
        self.engines = Engines(os.path.join(self.folder, 'engines'))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def service(self, version, build):
        return h.Service(state=self.state, keep_state=True, environment=self.environment, programs=self.engines.make(version, build))

    def weights(self):
        return {p: (s, os.stat(os.path.join(self.state, 'blobs', p)).st_ino, os.stat(os.path.join(self.state, 'blobs', p)).st_mtime_ns)
                for p, s in tree(os.path.join(self.state, 'blobs')).items()}

    def folders(self):
        return sorted(name for name in os.listdir(self.cache) if name.startswith('v'))

    def versions(self):
        major = self.engines.version.decode()
        return major, '9' + major[1:]  # linkers merge strings with the ends of others: the end stays as it is

    def property(self, service, name):
        return service.call('Get', '(ss)', (h.NAME, name), interface='org.freedesktop.DBus.Properties')[0]

    def run_once(self, version, build):
        """A start, a prompt, a second prompt. What the statistics say, and the text."""
        with self.service(version, build) as service:
            self.assertEqual(self.property(service, 'Version'), version)
            text = service.generate(model='kept', temperature=0, max_tokens=12)[0]
            first = service.statistics()
            path = service.call('GetModel', '(s)', ('kept',))[0]
            service.call('Unload', '(a{sv})', ({},), path=path, interface=h.NAME + '.Model')
            self.assertEqual(service.generate(model='kept', temperature=0, max_tokens=12)[0], text)
            second = service.statistics()
            made = lambda s: {kind: c['made'] for kind, c in s['artifacts'].items()}
            self.assertEqual(made(first), made(second))  # once
            h.wait_for(lambda: service.statistics()['garbage']['collections'] >= 1)
            collect(service)
            return service.statistics(), text

    def test_upgrades(self):
        major, newer = self.versions()
        with self.service(major, 'one') as service:
            file = os.path.join(os.environ['LLM_MODELS_DIR'], h.MODEL + '.gguf')
            subprocess.run([os.environ['LLMCTL'], 'import', file, 'kept'], env=service.bus.environment(), check=True, capture_output=True)
        weights = self.weights()
        self.assertEqual(len(weights), 1)
        n, text = self.run_once(major, 'one')
        self.assertEqual(n['garbage']['updated-from'], '')
        self.assertGreaterEqual(len(n['artifacts']), 1)
        self.assertTrue(all(c['made'] > 0 for c in n['artifacts'].values()), n['artifacts'])
        of_n = self.folders()
        self.assertEqual(len(of_n), 1)
        # another version and build
        n1, other = self.run_once(newer, 'two')
        self.assertEqual(other, text)
        self.assertTrue(n1['garbage']['updated-from'].startswith(major + '-'))
        self.assertTrue(all(c['made'] > 0 and c['misses-version'] > 0 and c['rebuilds'] > 0 and c['rebuild-failures'] == 0 for c in n1['artifacts'].values()), n1['artifacts'])
        self.assertGreater(n1['garbage']['deletions'], 0)
        of_n1 = self.folders()
        self.assertEqual(len(of_n1), 1)
        self.assertNotEqual(of_n, of_n1)
        size = sum(tree(self.cache).values())
        # back: what the newer engine made stays
        back, again = self.run_once(major, 'one')
        self.assertEqual(again, text)
        self.assertTrue(back['garbage']['updated-from'].startswith(newer + '-'))
        self.assertEqual(self.folders(), sorted(of_n + of_n1))
        # and on, by ten builds: only one is kept of those that are not newer
        for i in range(10):
            statistics, again = self.run_once(major, f'build {i}')
            self.assertEqual(again, text)
            self.assertEqual(len(self.folders()), 2)
            self.assertIn(of_n1[0], self.folders())
            self.assertLess(sum(tree(self.cache).values()), 3 * size)
            self.assertEqual(self.weights(), weights)
            self.assertTrue(all(c['rebuilds'] > 0 for c in statistics['artifacts'].values()), statistics['artifacts'])
        # the same engine once more: nothing is made, nothing goes
        with self.service(major, 'build 9') as service:
            self.assertEqual(service.generate(model='kept', temperature=0, max_tokens=12)[0], text)
            statistics = service.statistics()
            self.assertTrue(all(c['made'] == 0 and c['hits-file'] > 0 for c in statistics['artifacts'].values()), statistics['artifacts'])
            self.assertEqual(statistics['garbage']['updated-from'], '')
            self.assertEqual(collect(service)['count'], 0)
        self.assertEqual(self.weights(), weights)

    def test_models_again(self):
        """What was loaded when the last run ended is loaded by itself, once, and requests are served meanwhile."""
        major, newer = self.versions()
        with self.service(major, 'one') as service:
            text = service.generate(temperature=0, max_tokens=12)[0]
        with self.service(major, 'one') as service:
            self.assertEqual(self.property(service, 'Health'), 'ok')
            self.assertEqual(self.property(service, 'LoadedModels'), [])
            service.generate(max_tokens=1)
        with self.service(newer, 'two') as service:
            self.assertEqual(service.generate(temperature=0, max_tokens=12)[0], text)
            h.wait_for(lambda: self.property(service, 'Health') == 'ok')
            self.assertEqual(len(self.property(service, 'LoadedModels')), 1)
            self.assertEqual(service.statistics()['garbage']['updating-models'], 0)
            self.assertIn('what it compiles is made again', service.log())
        with self.service(major, 'three') as service:
            h.wait_for(lambda: len(self.property(service, 'LoadedModels')) == 1)  # nobody has asked
            self.assertEqual(service.statistics()['broker']['requests-total'], 0)
            path = service.call('GetModel', '(s)', (h.MODEL,))[0]
            service.call('Unload', '(a{sv})', ({},), path=path, interface=h.NAME + '.Model')
        with self.service(newer, 'four') as service:
            self.assertEqual(self.property(service, 'Health'), 'ok')
            self.assertEqual(service.statistics()['garbage']['updating-models'], 0)


if __name__ == '__main__':
    sys.exit(not unittest.main(exit=False, verbosity=1).result.wasSuccessful())
