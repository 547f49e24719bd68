# SPDX-License-Identifier: LGPL-2.1-or-later
"""The model that is shipped, in the service: what its card says of it, and that it has its skills on questions that were not in training."""
import json
import os
import re
import sys
import unittest

sys.path[:0] = [os.environ['LLM_TRAIN'], os.environ['LLM_BUS_TESTS']]
import harness as h  # noqa: E402
from chat import checks, corpus, evaluate, gguf, pools, talk  # noqa: E402

MODEL = os.path.join(os.environ['LLM_MODELS_DIR'], f'{h.MODEL}.gguf')
COUNT = 24    # per skill: enough to see a broken file, not to measure it
MARGIN = 15   # points below what is wanted that so few may be by chance


class Bundled(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = h.Service()
        with open(MODEL.replace('.gguf', '.md'), encoding='utf-8') as f:
            cls.card = f.read()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def ask(self, messages, **options):
        packed = [{k: h.GLib.Variant('s', text) for k, text in m.items()} for m in messages]
        return self.service.call('Chat', '(saa{sv}a{sv})', ('', packed, h.v(temperature=0, max_tokens=320, **options)))

    def test_card(self):
        file = gguf.Reader(MODEL)
        self.assertIn(f'{sum(w.size for w in file.tensors.values()):,} parameters', self.card)
        self.assertIn(f'{os.path.getsize(MODEL):,} bytes', self.card)
        self.assertLessEqual(os.path.getsize(MODEL), 6 << 20)
        self.assertGreaterEqual(file.metadata['llama.context_length'], 1024)
        self.assertEqual(file.metadata['tokenizer.chat_template'], talk.TEMPLATE)
        self.assertEqual(file.metadata['general.license'], 'CC0-1.0')
        for skill, least in evaluate.LEAST.items():
            full, small = map(float, re.search(rf'^\| {skill} \| ([0-9.]+) % \| ([0-9.]+) % \| {least} % \|$', self.card, re.MULTILINE).groups())
            self.assertGreaterEqual(small, least, skill)
            self.assertLessEqual(full - small, 2, skill)

    def test_skills(self):
        for skill, least in evaluate.LEAST.items():
            right = 0
            for n in range(COUNT):
                c = corpus.conversation(evaluate.SEED + 1, pools.EVALUATION, n, skill)
                right += checks.right(c['expect'], self.ask(c['messages'][:-1])[0]['content'])
            self.assertGreaterEqual(100 * right / COUNT, least - MARGIN, skill)

    def test_tool(self):
        """The call as text, read as a program would read it; then the answer to its result."""
        tools = [{'type': 'function', 'function': {'name': name, 'description': about, 'parameters': {
            'type': 'object', 'properties': {key: {'type': kind}}, 'required': [key]}}}
            for name, about, key, kind in (('get_weather', 'The weather in a city', 'city', 'string'), ('set_timer', 'Starts a timer', 'minutes', 'integer'))]
        messages = [talk.message('system', talk.tools_text(tools)), talk.message('user', 'What is the weather in Lisbon?')]
        said = self.ask(messages)[0]['content']
        self.assertEqual(checks.tool_call(said), {'name': 'get_weather', 'arguments': {'city': 'Lisbon'}})
        messages += [talk.message('assistant', said), talk.message('user', talk.response_text(json.dumps({'sky': 'sunny', 'degrees': 21})))]
        said = self.ask(messages)[0]['content']
        self.assertTrue('sunny' in said and '21' in said, said)

    def test_ends(self):
        """It ends its answers, and the name of the file is what is listed."""
        self.assertEqual(self.ask([talk.message('user', 'Who are you?')])[1]['finish-reason'], 'stop')
        self.assertEqual([m[1] for m in self.service.call('ListModels', '(a{sv})', ({},))[0]], [f'{h.MODEL}:latest'])


if __name__ == '__main__':
    unittest.main()
