# SPDX-License-Identifier: LGPL-2.1-or-later
"""The compile cache of the whole service: what is made once is there after a restart, and whatever is wrong with it costs time, nothing else."""
import contextlib
import ctypes
import glob
import os
import subprocess
import sys
import tempfile
import unittest

import harness as h

LANDLOCK_CREATE_RULESET = 444  # on every architecture


def can_write():
    """An engine that cannot be confined to its folder may not write at all."""
    return ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1) > 0


MADE = ('made', 'failed', 'store-failures')


def totals(service, *counters):
    """The sum of counters over all kinds; of one kind alone: service.statistics()['artifacts'][kind]."""
    artifacts = service.statistics()['artifacts']
    return sum(kind[counter] for kind in artifacts.values() for counter in counters)


@contextlib.contextmanager
def service(cache, environment=None):
    """Without garbage collection, which would come at its own time."""
    with tempfile.TemporaryDirectory(prefix='llm-config-') as home:
        os.makedirs(os.path.join(home, 'glib-2.0', 'settings'))
        with open(os.path.join(home, 'glib-2.0', 'settings', 'keyfile'), 'w') as f:
            f.write("[org/local/LLM]\ngc-policy='manual'\n")
        environment = {'GSETTINGS_BACKEND': 'keyfile', 'XDG_CONFIG_HOME': home, **(environment or {})}
        with h.Service(arguments=['--cache-dir', cache], environment=environment) as s:
            yield s


def generate(s):
    return s.generate(temperature=0, max_tokens=20)[0]


def files(cache):
    return sorted(glob.glob(os.path.join(cache, 'v*', '*', '*-' + '[0-9a-f]' * 64)))


class Cache(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='llm-cache-')
        self.addCleanup(folder.cleanup)
        self.cache = os.path.join(folder.name, 'cache')

    def make(self):
        """A cold start: the text, and how many artifacts there are."""
        with service(self.cache) as s:
            text = generate(s)
            self.assertEqual(totals(s, 'hits-file'), 0)
            self.assertEqual(totals(s, 'made'), totals(s, 'misses-absent'))
            self.assertEqual(totals(s, 'made'), totals(s, 'stored'))
            self.assertGreaterEqual(totals(s, 'made'), 1)
            made = totals(s, 'made')
        self.assertEqual(len(files(self.cache)), made)
        return text, made

    def test_warm_start_makes_nothing(self):
        text, made = self.make()
        before = [(path, os.stat(path).st_mtime_ns) for path in files(self.cache)]
        with service(self.cache) as s:
            self.assertEqual(generate(s), text)
            self.assertEqual(totals(s, *MADE), 0, s.statistics()['artifacts'])
            self.assertEqual(totals(s, 'hits-file'), made)
            self.assertGreater(totals(s, 'file-bytes'), 0)
            self.assertEqual(sum(os.path.getsize(path) for path in files(self.cache)), totals(s, 'file-bytes'))
        self.assertEqual([(path, os.stat(path).st_mtime_ns) for path in files(self.cache)], before)

    def test_killed_engine_finds_it(self):
        with service(self.cache) as s:
            generate(s)
            made = totals(s, 'made')
            subprocess.run(['kill', '-9', str(s.engine_pid())], check=True)
            h.wait_for(lambda: s.statistics()['broker']['engine-losses'] == 1)
            generate(s)
            self.assertEqual(totals(s, 'made'), made)
            self.assertEqual(totals(s, 'hits-file'), made)

    def test_folders_name_version_build_and_device(self):
        self.make()
        folder, = glob.glob(os.path.join(self.cache, 'v*'))
        notes = subprocess.run(['readelf', '-n', os.environ['LLM_ENGINE']], capture_output=True, text=True).stdout
        if 'Build ID: ' in notes:
            self.assertEqual(os.path.basename(folder).rsplit('-', 1)[1], notes.split('Build ID: ')[1].split()[0][:32])
        self.assertFalse(glob.glob(os.path.join(folder, 'tmp-*')))

    def test_damaged(self):
        text, made = self.make()
        for path in files(self.cache):
            with open(path, 'r+b') as f:
                f.seek(os.path.getsize(path) // 2)
                byte = f.read(1)
                f.seek(-1, os.SEEK_CUR)
                f.write(bytes([byte[0] ^ 1]))
        with service(self.cache) as s:
            self.assertEqual(generate(s), text)
            self.assertEqual(totals(s, 'misses-damaged'), made)
            self.assertEqual(totals(s, 'made'), made)
        with service(self.cache) as s:
            self.assertEqual(generate(s), text)
            self.assertEqual(totals(s, *MADE), 0)

    def test_other_build(self):
        """As after an update: a build of the same name and of other bytes shares nothing, and says why it makes it all again."""
        text, made = self.make()
        engine = os.path.join(os.path.dirname(self.cache), 'engine')
        with open(os.environ['LLM_ENGINE'], 'rb') as f:
            program = f.read()
        note = bytes.fromhex(os.path.basename(glob.glob(os.path.join(self.cache, 'v*'))[0]).rsplit('-', 1)[1])
        self.assertEqual(program.count(note), 1)
        with open(engine, 'wb') as f:
            f.write(program.replace(note, bytes(b ^ 1 for b in note)))
        os.chmod(engine, 0o755)
        for _ in range(2):
            with service(self.cache, environment={'LLM_ENGINE': engine}) as s:
                self.assertEqual(generate(s), text)
                if totals(s, 'made') > 0:
                    self.assertEqual(totals(s, 'misses-version'), made)
                    self.assertEqual(totals(s, 'rebuilds'), made)
                else:
                    self.assertEqual(totals(s, 'hits-file'), made)
        self.assertEqual(len(files(self.cache)), 2 * made)
        with service(self.cache) as s:
            self.assertEqual(generate(s), text)
            self.assertEqual(totals(s, *MADE), 0)

    def engine_with_faults(self, fault):
        """A program that is the engine on a disk that fails; the same one whatever the fault."""
        path = os.path.join(os.path.dirname(self.cache), 'faulty-engine')
        with open(path + '.fault', 'w') as f:
            f.write(fault)
        with open(path, 'w') as f:
            f.write(f'''#!/bin/sh
export LLM_FAULT="$(cat {path}.fault)" LLM_FAULT_PATH={self.cache} LD_PRELOAD={os.environ['LLM_FAULTS']}
export ASAN_OPTIONS="${{ASAN_OPTIONS:+$ASAN_OPTIONS:}}verify_asan_link_order=0"
exec {os.environ['LLM_ENGINE']} "$@"
''')
        os.chmod(path, 0o755)
        return path

    def test_failing_disk(self):
        text, _ = self.make()
        for fault in ('write:1+:enospc', 'fsync:1+:eio', 'create:1+:erofs', 'rename:1+:eacces', 'write:2+:eio'):
            with service(self.cache, environment={'LLM_ENGINE': self.engine_with_faults(fault)}) as s:
                self.assertEqual(generate(s), text)
                self.assertGreater(totals(s, 'store-failures'), 0, fault)
                self.assertEqual(totals(s, 'store-failures'), totals(s, 'made'), fault)
                self.assertEqual(totals(s, 'stored', 'failed'), 0, fault)
            self.assertEqual(glob.glob(os.path.join(self.cache, 'v*', 'tmp-*')), [], fault)

    def test_killed_while_writing(self):
        """kill -9 of the engine at one operation after the other: the next start is whole and leaves nothing."""
        text, made = self.make()
        n_killed = 0
        for action, operations in (('kill', range(1, 9)), ('kill-after', (4, 6, 7, 8))):  # two writes, three fsyncs, names
            for n in operations:
                subprocess.run(['rm', '-rf', self.cache], check=True)
                with service(self.cache, environment={'LLM_ENGINE': self.engine_with_faults(f'any:{n}:{action}')}) as s:
                    try:
                        self.assertEqual(generate(s), text)
                    except h.GLib.Error:  # it died twice
                        pass
                    n_killed += s.statistics()['broker']['engine-losses']
                with service(self.cache, environment={'LLM_ENGINE': self.engine_with_faults('')}) as s:
                    self.assertEqual(generate(s), text)
                    self.assertEqual(totals(s, 'hits-file', 'made'), made)
                    self.assertEqual(totals(s, 'misses-damaged', 'misses-foreign', 'misses-unreadable', 'store-failures'), 0)
                self.assertEqual(glob.glob(os.path.join(self.cache, 'v*', 'tmp-*')), [])
                self.assertEqual(len(files(self.cache)), made)
        self.assertGreaterEqual(n_killed, 7)  # who dies after the answer is not missed yet

    def test_no_folder(self):
        text, _ = self.make()
        with open(self.cache + '-file', 'w'):
            pass
        with service(self.cache + '-file/below') as s:
            self.assertEqual(generate(s), text)
            self.assertGreater(totals(s, 'made'), 0)
            self.assertEqual(totals(s, 'stored', 'store-failures', 'hits-file'), 0)

    def test_llmctl_stats(self):
        with service(self.cache) as s:
            generate(s)
            done = subprocess.run([os.environ['LLMCTL'], 'stats'], env=dict(s.environment, LC_ALL='C'), capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            rows = {line.split()[0]: line.split() for line in done.stdout.splitlines()[1:] if line.strip()}
            for kind, counters in s.statistics()['artifacts'].items():
                self.assertIn(kind, rows)
                self.assertIn(str(counters['made']), rows[kind])


if __name__ == '__main__':
    if not can_write():
        print('this kernel has no Landlock: engines keep nothing')
        sys.exit(77)
    unittest.main(verbosity=2, argv=sys.argv)
