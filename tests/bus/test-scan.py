# SPDX-License-Identifier: LGPL-2.1-or-later
"""llmctl import --scan: caches of other programs, made up: what is in them, what is not, and what goes into the store."""
import hashlib
import json
import os
import re
import subprocess
import tempfile
import unittest

import harness as h
from split_gguf import split

CACHES = ('OLLAMA_MODELS', 'HF_HOME', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'LLAMA_CACHE', 'XDG_CACHE_HOME', 'XDG_DATA_HOME')


class Scan(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = h.Service()
        with open(os.path.join(os.environ['LLM_MODELS_DIR'], 'tiny-chat.gguf'), 'rb') as f:
            cls.data = f.read()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def setUp(self):
        self.home = self.enterContext(tempfile.TemporaryDirectory())
        self.environment = {'HOME': self.home, 'OLLAMA_MODELS': os.path.join(self.home, '.ollama', 'models')}  # not that of this machine's system

    def ctl(self, *args, status=0, locale='C.UTF-8'):
        environment = {k: v for k, v in self.service.bus.environment().items() if k not in CACHES}
        done = subprocess.run([os.environ['LLMCTL'], 'import', *args], env={**environment, 'LC_ALL': locale, **self.environment}, capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def listed(self):
        """name -> (program, state)"""
        lines = self.ctl('--scan').stdout.split('\n\n')[0].splitlines()[1:]
        rows = {}
        for line in lines:
            name, _, program, state = re.fullmatch(r'(\S+) +(\S+\s\S+) +(ollama|huggingface|llama\.cpp) *(.*)', line).groups()
            self.assertNotIn(name, rows)
            rows[name] = (program, state)
        return rows

    def models(self):
        return {m[1]: m[2] for m in self.service.call('ListModels', '(a{sv})', ({},))[0]}

    def write(self, data, *path):
        full = os.path.join(self.home, *path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'wb') as f:
            f.write(data)
        return full

    def variant(self, text):
        """The small model with bytes of its own."""
        changed = self.data.replace(b'Tiny Chat', text.encode().ljust(9)[:9])
        self.assertNotEqual(changed, self.data)
        return changed

    # ---- the caches ----

    def ollama(self, path, data, media='application/vnd.ollama.image.model', manifest=None, blob=True):
        digest = hashlib.sha256(data).hexdigest()
        if blob:
            self.write(data, '.ollama', 'models', 'blobs', f'sha256-{digest}')
        layers = [{'mediaType': 'application/vnd.ollama.image.template', 'digest': 'sha256:' + '0' * 64, 'size': 3},
                  {'mediaType': media, 'digest': f'sha256:{digest}', 'size': len(data)}]
        self.write(json.dumps({'schemaVersion': 2, 'layers': layers}).encode() if manifest is None else manifest, '.ollama', 'models', 'manifests', *path.split('/'))
        return 'sha256-' + digest

    def hub(self, repo, revision, files, folder=('.cache', 'huggingface', 'hub'), main=True):
        root = (*folder, 'models--' + repo.replace('/', '--'))
        for name, data in files.items():
            blob = self.write(data, *root, 'blobs', hashlib.sha256(data).hexdigest())
            link = os.path.join(self.home, *root, 'snapshots', revision, name)
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(os.path.relpath(blob, os.path.dirname(link)), link)
        if main:
            self.write(revision.encode() + b'\n', *root, 'refs', 'main')

    # ---- tests ----

    def test_nothing(self):
        done = self.ctl('--scan')
        self.assertEqual(done.stdout, '')
        self.assertIn('no models', done.stderr)
        self.assertEqual(self.ctl('--scan', '--all').stdout, '')

    def test_ollama(self):
        digest = self.ollama('registry.ollama.ai/library/llama9/1b', self.variant('Ollama 1'))
        self.ollama('registry.ollama.ai/some.one/mine/latest', self.variant('Ollama 2'))
        self.ollama('hf.co/Org/Name-GGUF/Q4_K_M', self.variant('Ollama 3'))
        self.ollama('registry.ollama.ai/library/picture/1', self.variant('no model'), media='application/vnd.ollama.image.projector')
        self.ollama('registry.ollama.ai/library/gone/1', self.variant('no blob'), blob=False)
        for i, bad in enumerate([b'', b'{', b'[]', b'null', b'{"layers": 3}', b'{"layers": [1, null, {}]}', b'[' * 100000, b'\xff',
                                 b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../../../etc/passwd"}]}']):
            self.ollama(f'registry.ollama.ai/library/bad/{i}', b'bad', manifest=bad)
        self.assertEqual(self.listed(), {'llama9:1b': ('ollama', ''), 'some.one/mine:latest': ('ollama', ''), 'hf.co/Org/Name-GGUF:Q4_K_M': ('ollama', ''),
                                         'gone:1': ('ollama', 'only 0 of 1 parts')})
        self.assertEqual(self.ctl('--scan', 'llama9:1b', 'some.one/mine').stdout, 'llama9:1b\nsome.one/mine:latest\n')
        model = self.models()['llama9:1b']
        self.assertEqual((model['Digest'], model['Source']), (digest, 'ollama:llama9:1b'))
        self.assertEqual(len(self.service.generate(model='llama9:1b', max_tokens=5, temperature=0)[0]) > 0, True)
        self.assertEqual(self.listed()['llama9:1b'], ('ollama', 'in the store'))
        self.assertEqual(self.ctl('--scan', '--all').stdout, 'hf.co/Org/Name-GGUF:Q4_K_M\n')
        self.assertEqual(self.ctl('--scan', '--all').stdout, '')

    def test_huggingface(self):
        parts = split(self.variant('Hub parts'), 3)
        named = {f'Q8_0/Big-Q8_0-{i + 1:05}-of-00003.gguf': part for i, part in enumerate(parts)}
        self.hub('Org/Small-1B-GGUF', 'a' * 40, {'Small-1B-Q4_K_M.gguf': self.variant('Hub one'), 'mmproj-Small-1B-f16.gguf': b'GGUF', 'README.md': b'x'})
        self.hub('Org/Big-GGUF', 'b' * 40, named)
        self.hub('Org/Half', 'c' * 40, {'half-00001-of-00002.gguf': parts[0], 'half-00002-of-00003.gguf': parts[1]})
        self.hub('alone', 'd' * 40, {'other.gguf': self.variant('Hub alone')})
        self.write(b'GGUF', '.cache', 'huggingface', 'hub', 'datasets--Org--x', 'snapshots', 'e', 'x.gguf')
        expected = {'Org/Small-1B:Q4_K_M': ('huggingface', ''), 'Org/Big:Q8_0': ('huggingface', ''), 'alone:other': ('huggingface', ''),
                    'Org/Half:half': ('huggingface', 'only 1 of 2 parts'), 'Org/Half:half-2': ('huggingface', 'only 1 of 3 parts')}
        self.assertEqual(self.listed(), expected)
        for name, folder in (('HF_HOME', ('.cache', 'huggingface')), ('HF_HUB_CACHE', ('.cache', 'huggingface', 'hub'))):
            self.environment.update({'XDG_CACHE_HOME': '/nowhere', name: os.path.join(self.home, *folder)})
            self.assertEqual(self.listed(), expected)
            del self.environment[name]
            self.assertEqual(self.listed(), {})
            del self.environment['XDG_CACHE_HOME']
        self.assertEqual(self.ctl('--scan', 'Org/Big:Q8_0').stdout, 'Org/Big:Q8_0\n')
        model = self.models()['Org/Big:Q8_0']
        self.assertEqual((model['Source'], model['Version']), ('huggingface:Org/Big-GGUF/Q8_0/Big-Q8_0', 'b' * 40))
        self.assertEqual(self.listed()['Org/Big:Q8_0'], ('huggingface', 'in the store'))
        self.assertIn('only 1 of 2 parts', self.ctl('--scan', 'Org/Half:half', status=2).stderr)

    def test_newer_snapshot(self):
        """Of a file in several revisions that of main counts; what only an older one has is found all the same."""
        self.hub('Org/New', '1' * 40, {'a.gguf': self.variant('old a'), 'b.gguf': self.variant('old b')})
        self.assertEqual(self.ctl('--scan', 'Org/New:a').stdout, 'Org/New:a\n')
        self.hub('Org/New', '2' * 40, {'a.gguf': self.variant('new a')})
        self.assertEqual(self.listed(), {'Org/New:a': ('huggingface', ''), 'Org/New:b': ('huggingface', '')})  # not this version
        self.ctl('--scan', 'Org/New:a', 'Org/New:b')
        self.assertEqual([self.models()[f'Org/New:{x}']['Version'] for x in 'ab'], ['2' * 40, '1' * 40])
        self.assertEqual({state for _, state in self.listed().values()}, {'in the store'})

    def test_llama_cpp(self):
        cache = ('.cache', 'llama.cpp')
        self.write(self.variant('Cpp one'), *cache, 'ggml-org_gemma-9-1b-it-GGUF_gemma-9-1b-it-Q4_K_M.gguf')
        self.write(self.variant('Cpp two'), *cache, 'plain.gguf')
        self.write(b'{}', *cache, 'plain.gguf.json')
        self.write(b'GGUF', *cache, 'big.gguf.downloadInProgress')
        for i, part in enumerate(split(self.variant('Cpp parts'), 2)):
            self.write(part, *cache, f'big-{i + 1:05}-of-00002.gguf')
        self.assertEqual(self.listed(), {'ggml-org/gemma-9-1b-it:Q4_K_M': ('llama.cpp', ''), 'plain:latest': ('llama.cpp', ''), 'big:latest': ('llama.cpp', '')})
        self.environment['LLAMA_CACHE'] = '/nowhere'
        self.assertEqual(self.listed(), {})
        self.environment['LLAMA_CACHE'] = os.path.join(self.home, *cache)
        self.assertEqual(sorted(self.ctl('--scan', '--all').stdout.split()), ['big:latest', 'ggml-org/gemma-9-1b-it:Q4_K_M', 'plain:latest'])
        self.assertEqual({state for _, state in self.listed().values()}, {'in the store'})

    def test_odd_names(self):
        """Whatever a file is called, the store takes its name; two never have the same."""
        cache = ('.cache', 'llama.cpp')
        for name in ('Grüße aus 中国', '..dots', '-dash', 'x' * 240, 'x' * 239 + 'y', 'a b', 'a\tb', 'a:b', '%'):
            self.write(b'GGUF', *cache, name + '.gguf')
        os.mkfifo(os.path.join(self.home, *cache, 'pipe.gguf'))  # nobody waits for its writer
        os.mkdir(os.path.join(self.home, *cache, 'folder.gguf'))
        os.symlink('nowhere', os.path.join(self.home, *cache, 'broken.gguf'))
        os.symlink('.', os.path.join(self.home, *cache, 'circle'))
        names = [line.split()[0] for line in self.ctl('--scan').stdout.split('\n\n')[0].splitlines()[1:]]
        self.assertEqual(len(names), 9 - 1)  # "..dots" is hidden
        self.assertEqual(len(set(names)), len(names))
        for name in names:
            self.assertLessEqual(len(name), 128)
            self.assertEqual(h.error_name(self.service.call, 'GetModel', '(s)', (name,))[0], 'ModelNotFound', name)  # a name that a model may have
        failed = self.ctl('--scan', '--all', status=1)
        self.assertEqual(failed.stderr.count('cut off'), 8, failed.stderr)

    def test_most_files(self):
        """4096 entries of a folder are looked at, not one more."""
        for i in range(4097):
            self.write(b'', '.cache', 'llama.cpp', f'{i}.gguf')
        self.assertEqual(len(self.listed()), 4096)
        os.unlink(os.path.join(self.home, '.cache', 'llama.cpp', '7.gguf'))
        self.assertEqual(len(self.listed()), 4096)

    def test_wrong_usage(self):
        self.write(self.data, '.cache', 'llama.cpp', 'there.gguf')
        self.assertIn('not among', self.ctl('--scan', 'not-there', status=2).stderr)
        self.assertIn('--scan', self.ctl('--all', status=2).stderr)
        self.assertIn('without names', self.ctl('--scan', '--all', 'there', status=2).stderr)

    def test_damaged_model(self):
        """One that is refused does not keep the others out."""
        self.write(b'GGUF', '.cache', 'llama.cpp', 'bad.gguf')
        self.write(self.variant('good'), '.cache', 'llama.cpp', 'good.gguf')
        done = self.ctl('--scan', '--all', status=1)
        self.assertEqual(done.stdout, 'good:latest\n')
        self.assertIn('bad:latest', done.stderr)


if __name__ == '__main__':
    unittest.main(verbosity=2)
