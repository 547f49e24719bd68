# SPDX-License-Identifier: LGPL-2.1-or-later
"""A few steps of training, stopped and resumed, give a file that the service loads, cuts into the same tokens and computes as the trainer's own check does."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
    import torch
except ImportError as error:
    print(f'SKIP: {error}')
    sys.exit(77)
sys.path[:0] = [os.environ['LLM_TRAIN'], os.environ['LLM_BUS_TESTS']]
import harness as h  # noqa: E402
from gi.repository import GLib  # noqa: E402
from chat import corpus, data, gguf, model, muon, reference, talk, tokenizer, train  # noqa: E402
PROGRAM = os.path.join(os.environ['LLM_TRAIN'], 'chat-model')


def step(*arguments):
    done = subprocess.run([sys.executable, PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='chat-model-')
        at = cls.at
        step('corpus', at('corpus'), '--stage', '1', '--conversations', '200')
        step('tokenizer', at('corpus'), at('tokenizer'), '--tokens', '500')
        run = ('train', at('corpus'), at('tokenizer'))
        options = ('--tiny', '--batch-tokens', '512', '--lr', '0.01')
        step(*run, at('checkpoint'), '--steps', '3', *options)
        step(*run, at('again'), '--steps', '3', *options)
        os.mkdir(at('models'))
        step('export', at('checkpoint'), at('tokenizer'), at('models/chat.gguf'), '--type', 'f32')
        step('export', at('again'), at('tokenizer'), at('again.gguf'), '--type', 'f32')
        step('export', at('checkpoint'), at('tokenizer'), at('q8_0.gguf'))

    @classmethod
    def at(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def read(self, name):
        with open(self.at(name), 'rb') as f:
            return f.read()

    def test_deterministic(self):
        self.assertEqual(self.read('models/chat.gguf'), self.read('again.gguf'))

    def test_resume(self):
        """One more step, from 3 to 4: the optimizer and the number of the step are in the checkpoint."""
        shutil.copy(self.at('checkpoint'), self.at('resumed'))
        said = step('train', self.at('corpus'), self.at('tokenizer'), self.at('resumed'), '--steps', '4', '--resume', '--tiny', '--batch-tokens', '512', '--every', '1')
        self.assertIn('from step 3', said)
        self.assertEqual(torch.load(self.at('resumed'))['step'], 4)
        self.assertEqual(torch.load(self.at('resumed'))['stage'][1], 0)
        step('corpus', self.at('second'), '--conversations', '50', '--stage', '2')
        step('train', self.at('second'), self.at('tokenizer'), self.at('resumed'), '--steps', '5', '--resume', '--tiny', '--batch-tokens', '512', '--rate', '0.5', '0')
        self.assertEqual(torch.load(self.at('resumed'))['stage'][:2], (train.digest(self.at('second')), 4))

        said = step('train', self.at('corpus'), self.at('tokenizer'), self.at('resumed'), '--steps', '4', '--resume', '--tiny')  # the first stage, again
        self.assertIn('this stage is over', said)
        self.assertEqual(torch.load(self.at('resumed'))['stage'][1], 4)

    def test_rate(self):
        self.assertAlmostEqual(train.rate(0, 0, 1, 1), 1 / train.WARM_UP)
        self.assertEqual([train.rate(1000, p, 0.5, 0) for p in (0, 0.5, 1)], [0.5, 0.25, train.LEAST])

    def test_quantised(self):
        small, full = gguf.Reader(self.at('q8_0.gguf')), gguf.Reader(self.at('models/chat.gguf'))
        self.assertEqual((small.metadata['general.file_type'], full.metadata['general.file_type']), (7, 0))
        self.assertEqual(small.metadata['general.license'], 'CC0-1.0')
        self.assertIn('<|im_start|>', small.metadata['tokenizer.chat_template'])
        for name, w in full.tensors.items():
            self.assertLess(np.abs(w - small.tensors[name]).max(), np.abs(w).max() / 100, name)

    def test_in_the_service(self):
        words, file = tokenizer.Tokenizer.load(self.at('tokenizer')), gguf.Reader(self.at('models/chat.gguf'))
        with h.Service(models_dir=self.at('models')) as service:
            for n in range(12):
                messages = corpus.conversation(7, 'evaluation', n)['messages'][:-1]
                ids = words.conversation(messages)[0] + [words.special[talk.IM_START], *words.encode('assistant\n')]
                packed = [{k: GLib.Variant('s', v) for k, v in m.items()} for m in messages]
                result = service.call('Chat', '(saa{sv}a{sv})', ('', packed, h.v(temperature=0, max_tokens=1, logprobs=1)))[1]
                self.assertEqual(result['prompt-tokens'], len(ids), json.dumps(messages))
                logits = reference.forward(file, np.array(ids)).astype(np.float64)
                best = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
                self.assertAlmostEqual(best.max(), result['logprobs'][0]['logprob'], delta=0.02)

    def test_masks(self):
        """A conversation of a row depends on no other one, and no token on a later one; what is not said weighs little."""
        config = model.Config(n_vocab=64, **train.TINY)
        run = train.Run(config, 'cpu', 1, 0.001)
        row, talks = torch.arange(1, 25)[None] % 64, torch.tensor([[1] * 10 + [2] * 14])

        def logits(tokens):
            with torch.no_grad():
                return model.forward(config, run.params, tokens, (run.rope(24), train.masks(config, talks))).float()
        changed = row.clone()
        changed[0, [3, 20]] = 50
        same = (logits(row) - logits(changed)).abs().amax(-1)[0] == 0
        self.assertEqual(same.tolist(), [True] * 3 + [False] * 7 + [True] * 10 + [False] * 4)
        batch = [np.array(a, dtype=np.uint8) for a in ([[5, 6, 7, 8, 9, 0]], [[0, 0, 1, 1, 0, 0]], [[1, 1, 1, 1, 2, 0]])]
        with torch.no_grad():
            loss, said = run.loss(batch)
            seen = model.forward(config, run.params, torch.tensor([[5, 6, 7, 8, 9]]), (run.rope(5), train.masks(config, torch.tensor([[1, 1, 1, 1, 2]])))).float()[0]
        each = torch.nn.functional.cross_entropy(seen, torch.tensor([6, 7, 8, 9, 0]), reduction='none')
        self.assertAlmostEqual(float(said), float(each[1:3].mean()), places=4)
        self.assertAlmostEqual(float(loss), float((each[1] + each[2] + train.REST * each[0]) / (2 + train.REST)), places=4)

    def test_blocks(self):
        """Queries go by blocks: rows longer than one give what the definition gives."""
        config, length = model.Config(n_vocab=64, **train.TINY), 2 * model.BLOCK + 9
        q, k, v = (torch.randn(2, length, heads, config.head_dim) for heads in (config.n_heads, config.n_kv_heads, config.n_kv_heads))
        mask = torch.full((length, length), float('-inf')).triu(1)
        keys, values = (x.repeat_interleave(config.n_heads // config.n_kv_heads, 2) for x in (k, v))
        scores = torch.einsum('bqhd,bkhd->bhqk', q, keys) / config.head_dim ** 0.5 + mask
        wanted = torch.einsum('bhqk,bkhd->bqhd', scores.softmax(-1), values).flatten(2)
        self.assertTrue(torch.allclose(model.attention(config, q, k, v, mask), wanted, atol=1e-5))

    def test_gate(self):
        gate, up = (torch.randn(5, 7, dtype=torch.double, requires_grad=True) for _ in range(2))
        self.assertTrue(torch.allclose(model.Gate.apply(gate, up), torch.nn.functional.silu(gate) * up))
        self.assertTrue(torch.autograd.gradcheck(model.Gate.apply, (gate, up)))

    def test_muon(self):
        """A step turns a matrix the same way whatever the size of its gradient: all singular values are near 1."""
        for shape in ((32, 64), (64, 32), (48, 48)):
            w = torch.zeros(shape, requires_grad=True)
            w.grad = torch.randn(shape) * 1e-4
            muon.Muon([w], lr=1.0).step()
            values = torch.linalg.svdvals(w.detach()) / max(1, shape[0] / shape[1]) ** 0.5
            self.assertGreater(float(values.median()), 0.6)
            self.assertLess(float(values.max()), 1.4)

    def test_evaluate(self):
        """It runs; who was hardly trained fails."""
        step('evaluate', self.at('q8_0.gguf'), '--count', '2', '--skill', 'json', '--skill', 'arithmetic', '--json', self.at('scores'))
        self.assertEqual(json.loads(self.read('scores')), {'json': 0, 'arithmetic': 0})
        done = subprocess.run([sys.executable, PROGRAM, 'evaluate', self.at('q8_0.gguf'), '--count', '1', '--skill', 'sorting', '--check'], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn('below what is wanted: sorting', done.stderr)

    def test_packing(self):
        words = tokenizer.Tokenizer.load(self.at('tokenizer'))
        records = list(tokenizer.read(self.at('corpus')))
        packed, n = data.pack(words, records, words.special[talk.END_OF_TEXT])
        self.assertGreater(n / sum(t.size for t, _, _ in packed.values()), 0.6)
        whole = sorted(words.decode(words.conversation(c['messages'])[0]) for c in records)
        found = []
        for tokens, _, number in packed.values():
            for row, of in zip(tokens, number):
                found += [words.decode(row[of == k].tolist()) for k in range(1, of.max() + 1)]
        self.assertTrue(set(found) <= set(whole))
        self.assertGreater(len(found), 190)
        one, two = data.Batches(packed, 512, 1), data.Batches(packed, 512, 1)
        for step in (0, 5, 200, 5):
            self.assertTrue(all((a == b).all() for a, b in zip(one[step], two[step])))


if __name__ == '__main__':
    unittest.main()
