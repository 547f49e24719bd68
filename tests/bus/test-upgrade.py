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
        return major, major[:-1] + '9'

    def property(self, service, name):
        return service.call('Get', '(ss)', (h.NAME, name), interface='org.freedesktop.DBus.Properties')[0]

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
