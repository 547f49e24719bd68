# SPDX-License-Identifier: LGPL-2.1-or-later
"""Garbage: what goes, when, and who may ask."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from gi.repository import Gio, GLib

import harness as h

DAY = 24 * 3600
OTHER_USER = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']


def tree(folder):
    """Relative paths of all files -> size."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            found[os.path.relpath(full, folder)] = os.lstat(full).st_size
    return found


def put(folder, path, size=5000, age=0, text=None):
    full = os.path.join(folder, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, 'wb') as f:
        f.write(text if text is not None else os.urandom(size))
    os.utime(full, (time.time() - age, time.time() - age))


def collect(service, **options):
    return service.call('CollectGarbage', '(a{sv})', (h.v(**options),))[0]


def paths(report):
    return {d['path']: d['reason'] for d in report['deletions']}


def set_setting(service, key, value):
    service.call('Set', '(sv)', (key, value), interface=h.NAME + '.Settings')


class Garbage(unittest.TestCase):
    def setUp(self):
        self.state = tempfile.mkdtemp(prefix='llm-state-')
        self.cache = os.path.join(self.state, 'cache')

    def tearDown(self):
        shutil.rmtree(self.state, ignore_errors=True)

    def test_everything(self):
        put(self.cache, 'v0.0.1-aa/cpu/kind-1')
        put(self.cache, 'v0.0.1-aa/cpu/sub/deep', 10000)
        put(self.cache, 'v0.0.1-aa/mesa/x/y')
        put(self.cache, 'v99.0-aa/cpu/kind-1')                  # newer
        put(self.cache, 'v99.0-aa/cpu/kind-2', age=100 * DAY)
        put(self.cache, 'v0.0.1-aa/tmp-1-1', age=2 * DAY)
        put(self.cache, 'v99.0-aa/tmp-1-1', age=2 * DAY)
        put(self.cache, 'v99.0-aa/tmp-1-2')
        put(self.cache, 'notes/not-ours')
        os.symlink('/etc/passwd', os.path.join(self.cache, 'v0.0.1-aa/cpu/link'))
        os.makedirs(os.path.join(self.state, 'blobs'))
        put(self.state, 'blobs/sha256-' + '0' * 64)             # nobody has named it, but it is young
        expected = {'v0.0.1-aa/cpu/kind-1': 'old-version', 'v0.0.1-aa/cpu/sub/deep': 'old-version', 'v0.0.1-aa/mesa/x/y': 'old-version',
                    'v0.0.1-aa/cpu/link': 'old-version', 'v99.0-aa/cpu/kind-2': 'over-age', 'v0.0.1-aa/tmp-1-1': 'orphan', 'v99.0-aa/tmp-1-1': 'orphan'}
        settings = tempfile.mkdtemp(prefix='llm-home-')
        environment = {'GSETTINGS_BACKEND': 'keyfile', 'XDG_CONFIG_HOME': settings}
        os.makedirs(os.path.join(settings, 'glib-2.0', 'settings'))
        with open(os.path.join(settings, 'glib-2.0', 'settings', 'keyfile'), 'w') as f:
            f.write("[org/local/LLM]\ngc-policy='manual'\n")
        with h.Service(state=self.state, environment=environment) as service:
            service.generate(max_tokens=1)
            before = tree(self.cache)
            report = collect(service, dry_run=True)
            self.assertEqual(paths(report), expected)
            self.assertEqual(tree(self.cache), before)
            text = subprocess.run([os.environ['LLMCTL'], 'gc', '--dry-run'], env=dict(service.bus.environment(), LC_ALL='C.UTF-8'), capture_output=True, text=True).stdout
            self.assertIn('of an older engine', text)
            self.assertIn('v0.0.1-aa/cpu/sub/deep', text)
            self.assertIn('7 files would be deleted', text)
            self.assertEqual(tree(self.cache), before)
            set_setting(service, 'gc-grace', GLib.Variant('u', 0))
            time.sleep(1.1)  # past the grace
            self.assertEqual(paths(collect(service, dry_run=True))['sha256-' + '0' * 64], 'unreferenced')
            set_setting(service, 'gc-grace', GLib.Variant('u', DAY))
            report = collect(service)
            self.assertEqual(paths(report), expected)
            self.assertEqual((report['count'], report['kept'], report['dry-run']), (7, 0, False))
            left = tree(self.cache)
            self.assertEqual({p for p in before if p not in left}, set(expected))
            self.assertFalse(os.path.exists(os.path.join(self.cache, 'v0.0.1-aa')))
            self.assertTrue(os.path.exists('/etc/passwd'))
            self.assertIn('v99.0-aa/cpu/kind-1', left)
            self.assertIn('notes/not-ours', left)
            again = collect(service)
            self.assertEqual((again['count'], again['bytes']), (0, 0))
            garbage = service.statistics()['garbage']
            self.assertEqual((garbage['deletions'], garbage['collections']), (7, 2))
            self.assertGreater(garbage['last'], time.time() - 100)
            self.assertEqual(service.call('Get', '(s)', ('last-gc',), interface=h.NAME + '.Settings')[0], garbage['last'])
            self.assertEqual(h.error_name(service.call, 'CollectGarbage', '(a{sv})', (h.v(dry=True),))[0], 'InvalidArgs')
            set_setting(service, 'gc-grace', GLib.Variant('u', 0))
            self.assertEqual(set(paths(collect(service)).values()) - {'orphan'}, {'unreferenced'})
            h.wait_for(lambda: not os.path.exists(os.path.join(self.state, 'blobs', 'sha256-' + '0' * 64)))
            self.assertEqual(service.generate(max_tokens=3, temperature=0)[1]['output-tokens'], 3)
        shutil.rmtree(settings)

    def test_by_itself(self):
        """At start, after an import, when an import finds the disk full, and by the clock."""
        put(self.cache, 'v0.0.1-aa/cpu/kind-1')
        with h.Service(state=self.state) as service:
            h.wait_for(lambda: not os.path.exists(os.path.join(self.cache, 'v0.0.1-aa')))
            put(self.cache, 'v0.0.2-aa/cpu/kind-1')
            file = os.path.join(os.environ['LLM_MODELS_DIR'], h.MODEL + '.gguf')
            subprocess.run([os.environ['LLMCTL'], 'import', file, 'x'], env=service.bus.environment(), check=True, capture_output=True)
            h.wait_for(lambda: not os.path.exists(os.path.join(self.cache, 'v0.0.2-aa')))
            set_setting(service, 'minimum-free-disk', GLib.Variant('t', 1 << 60))
            h.wait_for(lambda: service.statistics()['garbage']['collections'] >= 3)
            put(self.cache, 'v99.0-aa/cpu/kind-1')
            done = subprocess.run([os.environ['LLMCTL'], 'import', file, 'y'], env=dict(service.bus.environment(), LC_ALL='C.UTF-8'), capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn('are to stay free', done.stderr)
            h.wait_for(lambda: not os.path.exists(os.path.join(self.cache, 'v99.0-aa')))
            put(self.cache, 'v0.0.3-aa/cpu/kind-1')
            set_setting(service, 'gc-interval', GLib.Variant('u', 1))
            h.wait_for(lambda: not os.path.exists(os.path.join(self.cache, 'v0.0.3-aa')))

    def test_limits(self):
        for i in range(10):
            put(self.cache, f'v99.0-aa/cpu/kind-{i}', 100000, age=100 + i)
        put(self.cache, 'v99.0-aa/cpu/kind-small', 10, age=1000)
        with h.Service(state=self.state) as service:
            set_setting(service, 'artifact-bytes', GLib.Variant('t', 550000))
            collect(service)
            left = [p for p in tree(self.cache) if p.startswith('v99')]
            self.assertIn('v99.0-aa/cpu/kind-small', left)
            self.assertIn('v99.0-aa/cpu/kind-0', left)
            self.assertNotIn('v99.0-aa/cpu/kind-9', left)
            self.assertLessEqual(collect(service)['artifact-bytes'], 550000)
            set_setting(service, 'minimum-free-disk', GLib.Variant('t', 1 << 60))
            self.assertTrue(all(reason == 'low-disk' for reason in paths(collect(service)).values()))
            self.assertEqual([p for p in tree(self.cache) if p.startswith('v99')], [])

    def test_long_reports(self):
        with h.Service(state=self.state) as service:
            set_setting(service, 'gc-policy', GLib.Variant('s', 'manual'))
            for i in range(2048):
                put(self.cache, f'v0.0.1-aa/cpu/kind-{i}', 1)
            report = collect(service, dry_run=True)
            self.assertEqual((report['count'], len(report['deletions'])), (2048, 2048))
            put(self.cache, 'v0.0.1-aa/cpu/kind-more', 1)
            report = collect(service, dry_run=True)
            self.assertEqual((report['count'], len(report['deletions'])), (2049, 2048))
            for i in range(700):  # of a KiB each
                put(self.cache, os.path.join('v0.0.0-aa', *['x' * 240] * 4, f'{i}'), 1)
            report = collect(service)
            self.assertEqual(report['count'], 2749)
            self.assertLessEqual(sum(len(d['path']) for d in report['deletions']), 512 * 1024)
            self.assertEqual([name for name in os.listdir(self.cache) if name.startswith('v0.0')], [])

    def test_costs(self):
        """What takes long to make stays; how long it takes is known after a restart too."""
        home = tempfile.mkdtemp(prefix='llm-home-')
        self.addCleanup(shutil.rmtree, home)
        environment = {'GSETTINGS_BACKEND': 'keyfile', 'XDG_CONFIG_HOME': home}
        with h.Service(state=self.state, keep_state=True, environment=environment) as service:
            service.generate(max_tokens=1)
            artifacts = service.statistics()['artifacts']
            self.assertGreaterEqual(len(artifacts), 1)
            collect(service)
            costs = service.call('Get', '(s)', ('last-costs',), interface=h.NAME + '.Settings')[0]
            self.assertEqual(costs, {kind: c['make-us'] / c['made'] for kind, c in artifacts.items() if c['made']})
        with h.Service(state=self.state, environment=environment) as service:
            collect(service)
            self.assertEqual(service.call('Get', '(s)', ('last-costs',), interface=h.NAME + '.Settings')[0], costs)

    @unittest.skipIf(os.getuid() != 0, 'needs root, to be two users')
    def test_who_may(self):
        with h.Service(system=True, state=self.state) as service:
            run = lambda *args: subprocess.run([*OTHER_USER, os.environ['LLMCTL'], *args], env=dict(service.bus.environment(), LC_ALL='C.UTF-8'), capture_output=True, text=True)
            self.assertIn('administrator', run('gc').stderr)
            self.assertIn('administrator', run('gc', '--dry-run').stderr)
            collect(service)


if __name__ == '__main__':
    sys.exit(not unittest.main(exit=False, verbosity=1).result.wasSuccessful())
