# SPDX-License-Identifier: LGPL-2.1-or-later
"""The corpus is the same each time, evaluation asks nothing that training saw, answers pass their own checks; the tokenizer gives back what it took."""
import collections
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.environ['LLM_TRAIN'])
from chat import checks, corpus, docs, talk, tokenizer  # noqa: E402
from chat.pools import EVALUATION, NAMES, TRAIN, division  # noqa: E402
from chat.skills import SKILLS, numbers  # noqa: E402

try:
    import jinja2
except ImportError:
    jinja2 = None


def asked(record):
    """All that the model sees before its last answer, and that answer's question alone."""
    return repr(record['messages'][:-1])


class Corpus(unittest.TestCase):
    def test_same_seed_same_hash(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'corpus')
            first = corpus.write(path, 1, TRAIN, 300)
            self.assertEqual(first, corpus.write(path, 1, TRAIN, 300))
            self.assertNotEqual(first, corpus.write(path, 2, TRAIN, 300))
            self.assertNotEqual(first, corpus.write(path, 1, EVALUATION, 300))
            self.assertNotEqual(first, corpus.write(path, 1, TRAIN, 300, stage=1))
            self.assertEqual(len(list(tokenizer.read(path))), 300)
            for hash_seed in ('1', '2'):  # of Python's own hashes, which nothing may depend on
                said = subprocess.run([sys.executable, os.path.join(os.environ['LLM_TRAIN'], 'chat-model'), 'corpus', path, '--conversations', '300'],
                                      env={**os.environ, 'PYTHONHASHSEED': hash_seed}, check=True, capture_output=True, text=True).stdout
                self.assertIn(first, said)

    def test_splits_are_disjoint(self):
        for skill in SKILLS:
            seen = {asked(corpus.conversation(1, TRAIN, n, skill)) for n in range(1500)}
            other = {asked(corpus.conversation(7, EVALUATION, n, skill)) for n in range(200)}
            self.assertGreater(len(other), 100, skill)
            self.assertFalse(seen & other, skill)
        pools = division(tuple(NAMES))
        self.assertFalse(set(pools[TRAIN]) & set(pools[EVALUATION]))
        self.assertGreater(len(pools[EVALUATION]), 10)

    def test_names_are_disjoint(self):
        """A name of the other split in no sentence."""
        for split, other in ((TRAIN, EVALUATION), (EVALUATION, TRAIN)):
            foreign = set(division(tuple(NAMES))[other])
            for skill in ('recall', 'json', 'tools', 'counting'):
                for n in range(200):
                    for m in corpus.conversation(3, split, n, skill)['messages']:
                        words = set(m['content'].replace('"', ' ').replace('.', ' ').replace(',', ' ').replace('?', ' ').split())
                        self.assertFalse(words & foreign - {'Mark'}, m)

    def test_answers_pass(self):
        kinds = collections.Counter()
        for skill in SKILLS:
            for n in range(150):
                c = corpus.conversation(5, EVALUATION, n, skill)
                said = c['messages'][-1]['content']
                self.assertEqual(c['messages'][-1]['role'], 'assistant')
                self.assertTrue(checks.right(c['expect'], said), c)
                self.assertFalse(checks.right(c['expect'], 'something else 100000'), c)
                kinds[c['expect'][0]] += 1
        self.assertEqual(set(kinds), {'is', 'has', 'ends', 'last', 'json', 'tool', 'story'})

    def test_sums(self):
        for a in range(100):
            for b in range(100):
                self.assertTrue(numbers.worked(a, '+', b).endswith(f' = {a + b}.'))
                if b <= a:
                    self.assertTrue(numbers.worked(a, '-', b).endswith(f' = {a - b}.'))
        self.assertEqual(numbers.worked(47, '+', 38), '47 + 38: 7 + 8 = 15, write 5, carry 1. 4 + 3 + 1 = 8. So 47 + 38 = 85.')
        self.assertEqual(numbers.worked(52, '-', 17), '52 - 17: 12 - 7 = 5, write 5, borrow 1. 5 - 1 - 1 = 3. So 52 - 17 = 35.')

    def test_checks(self):
        self.assertFalse(checks.right(['has', '1'], 'The number is 12.'))
        self.assertFalse(checks.right(['json', {'a': 1}], '{"a": "1"}'))
        self.assertFalse(checks.right(['json', {'a': 1}], '{"a": 1'))
        self.assertFalse(checks.right(['tool', {'name': 'f', 'arguments': {}}], '{"name": "f", "arguments": {}}'))
        self.assertFalse(checks.right(['ends', '15'], '7 + 8 = 15, so it is 16.'))

    def test_documentation(self):
        self.assertEqual(docs.commands()['list'], 'Lists the models in the store.')
        self.assertIn('status', docs.commands())
        self.assertIn('keep-alive', docs.settings())


class Tokenizer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.conversations = [corpus.conversation(1, TRAIN, n) for n in range(400)]
        cls.tokenizer = tokenizer.train(cls.conversations, 600)

    def test_round_trip(self):
        texts = [m['content'] for c in self.conversations for m in c['messages']]
        texts += ['', ' ', '  two  spaces\n\n\nand lines \n', 'tabs\tand_underscores', "it's I'LL", '你好，KV 缓存？', '\N{GRINNING FACE} 12345 <tool_call>{}</tool_call> <tool']
        for text in texts:
            self.assertEqual(self.tokenizer.decode(self.tokenizer.encode(text)), text)

    def test_deterministic(self):
        self.assertEqual(self.tokenizer.merges, tokenizer.train(self.conversations, 600).merges)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'tokenizer')
            self.tokenizer.save(path)
            self.assertEqual(tokenizer.Tokenizer.load(path).merges, self.tokenizer.merges)
        self.assertEqual(self.tokenizer.n, 600)

    def test_digits_and_names(self):
        encode = self.tokenizer.encode
        for n in ('47', '3078'):
            self.assertEqual(encode(n), [encode(digit)[0] for digit in n])
        for text in (' Otto', '"Otto', '_Otto', '(Otto'):
            self.assertEqual(encode(text)[1:], encode('Otto'), text)

    def test_controls_come_from_the_frame_alone(self):
        end = self.tokenizer.special[talk.IM_END]
        self.assertNotIn(end, self.tokenizer.encode(talk.IM_END))
        ids, says = self.tokenizer.conversation([talk.message('user', 'Hi'), talk.message('assistant', 'Hello!')])
        self.assertEqual(self.tokenizer.decode(ids), talk.text([talk.message('user', 'Hi'), talk.message('assistant', 'Hello!')]))
        said = [i for i, s in zip(ids, says) if s]
        self.assertEqual(said, [*self.tokenizer.encode('Hello!'), end])

    @unittest.skipIf(jinja2 is None, 'no Jinja')
    def test_template(self):
        environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        environment.policies['json.dumps_kwargs'] = {'sort_keys': False, 'ensure_ascii': False}
        environment.filters['tojson'] = talk.compact
        template = environment.from_string(talk.TEMPLATE)
        for c in self.conversations:
            messages = c['messages'][:-1]
            self.assertEqual(template.render(messages=messages, add_generation_prompt=True), talk.text(messages, True))
        f = {'type': 'function', 'function': {'name': 'f', 'description': 'F', 'parameters': {}}}
        messages = [talk.message('system', 'Be kind.'), talk.message('user', 'Go'),
                    {'role': 'assistant', 'content': '', 'tool_calls': [{'type': 'function', 'function': {'name': 'f', 'arguments': {'x': 1}}}]},
                    {'role': 'tool', 'content': '{"ok": true}'}]
        expected = [talk.message('system', 'Be kind.\n\n' + talk.tools_text([f])), talk.message('user', 'Go'), talk.message('assistant', talk.call_text('f', {'x': 1})),
                    talk.message('user', talk.response_text('{"ok": true}'))]
        self.assertEqual(template.render(messages=messages, tools=[f], add_generation_prompt=True), talk.text(expected, True))


if __name__ == '__main__':
    unittest.main()
