# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the model card: what the file is, how it was made, what it scores, what it says.  Every figure is read from what the other steps left."""
import argparse
import json
import os
import shutil

import torch

from . import gguf
from .evaluate import BUILD, LEAST, answer, service
from .pools import STAGES
from .skills import tools
from .talk import compact, message, tools_text
from .train import digest

KINDS = ('f32', 'q8_0')
LOSS = 2  # points that the quantised file may lose
WEATHER, TIMER = (tools.FUNCTIONS[i].schema(tools.FUNCTIONS[i].names[0]) for i in (0, 3))
PERSON = compact({'type': 'object', 'properties': {'name': {'type': 'string'}, 'age': {'type': 'integer'}, 'city': {'type': 'string'}}, 'required': ['name', 'age', 'city']})
# system message or None, what the user says
EXAMPLES = [
    (None, ['Who are you?']),
    (None, ['How do I list the models?', 'What is a KV cache?']),
    (None, ['My name is Tamsin.', 'I live in Lisbon.', 'What is 47 + 38?', 'Where do I live?', 'What is my name?']),
    (None, [f'Extract the fields as JSON.\nSchema: {PERSON}\nText: Miriam is 34 years old and lives in Oslo.']),
    (tools_text([WEATHER, TIMER]), ['What is the weather in Lisbon?', '<tool_response>\n{"sky": "sunny", "degrees": 21}\n</tool_response>']),
    (None, ['Sort these numbers: 42, 7, 19, 88', 'How many words are here: pens, apples, cups']),
    (None, ['你好', '怎么列出模型？']),
    (None, ['Tell me a story about a fox.']),
]
CARD = """# Tiny Chat

The bundled chat model: a llama of {parameters:,} parameters ({layers} layers of width {width}, {heads} query and {kv_heads} key heads, {ff} in the feed-forward part; {context:,}
tokens of context; byte-level BPE of {vocabulary:,} tokens, each digit alone; ChatML with tools; Q8_0, {size:,} bytes). It is there so that the demo
and the tests run offline on weights that were learned. Licence: CC0-1.0.

## How it was made

`tools/train/chat-model all FOLDER` made it and wrote this card. Its corpora, {conversations:,} conversations, are written by our own script (`tools/train/chat/skills`; seed 1); training
drew from them at random, for as many steps as stand below, and saw nothing else. Its help answers come from the manual and the settings of this service.

| | |
|---|---|
| corpus of stage 1, SHA-256 | `{corpus_1}` |
| corpus of stage 2 | `{corpus_2}` |
| corpus of stage 3 | `{corpus_3}` |
| tokenizer | `{tokenizer}` |
| training | {steps:,} steps of up to 4,096 tokens, {minutes:.0f} minutes |

What was chosen, and why: [tools/train/README.md](../../tools/train/README.md).

## What it can do

Right answers to {count} questions per skill that were not in training (other names, numbers, words, seed), asked through this service with temperature 0:

{table}

`tools/train/chat-model evaluate data/models/tiny-chat.gguf --count {count}` gives the column of Q8_0 again.

Recall is of facts told over several turns; JSON, the fields of a sentence after a schema; tools, the right function with all its arguments, and what to say to its
result; help, questions about this service; arithmetic, one and two digits; smalltalk and Chinese, fixed answers to new wordings. A story is right when it has its hero and an end.

## Limits

It knows nothing of the world. It has the words of its corpus: simple English, a few sentences of Chinese. What is asked in other forms than there it
misunderstands without saying so. Sums have two digits, lists eight items. Any larger model is better: `llmctl import` one.

## Examples

Temperature 0, each conversation with the model's own answers:

```text
{examples}
```
"""


def load(path):
    with open(path, encoding='utf-8') as f:
        return json.load(f)


def table(scores):
    """@scores: (F32's, Q8_0's), each skill -> per cent."""
    lines = ['| skill | F32 | Q8_0 | wanted |', '|---|---|---|---|']
    lines += [f'| {skill} | {a:.1f} % | {scores[1][skill]:.1f} % | {f"{LEAST[skill]} %" if skill in LEAST else ""} |' for skill, a in scores[0].items()]
    return '\n'.join(lines)


def low(scores):
    """-> skills that are not good enough, or lost too much."""
    return [skill for skill, a in scores[0].items() if scores[1][skill] < LEAST.get(skill, 0) or a - scores[1][skill] > LOSS]


def talks(model, build):
    """-> the examples as messages, with the answers of this file."""
    harness, running, folder = service(model, build)
    try:
        with running:
            for system, questions in EXAMPLES:
                messages = [message('system', system)] if system else []
                for question in questions:
                    messages.append(message('user', question))
                    messages.append(message('assistant', answer(harness, running, messages, 320)))
                yield messages
    finally:
        shutil.rmtree(folder)


def facts(folder, model, count):
    at = lambda name: os.path.join(folder, name)
    state, m = torch.load(at('checkpoint'), map_location='cpu'), gguf.Reader(model).metadata
    conversations, corpora = 0, {f'corpus_{stage}': at(f'corpus-{stage}') for stage in range(1, STAGES + 1)}
    for path in corpora.values():
        with open(path, 'rb') as f:
            conversations += sum(1 for _ in f)
    return {
        'parameters': sum(w.numel() for w in state['params'].values()), 'layers': m['llama.block_count'], 'width': m['llama.embedding_length'],
        'heads': m['llama.attention.head_count'], 'kv_heads': m['llama.attention.head_count_kv'], 'ff': m['llama.feed_forward_length'],
        'context': m['llama.context_length'], 'vocabulary': m['llama.vocab_size'], 'size': os.path.getsize(model), 'conversations': conversations,
        **{name: digest(path) for name, path in corpora.items()}, 'tokenizer': digest(at('tokenizer.json')), 'steps': state['step'], 'minutes': state['spent'] / 60, 'count': count,
    }


def main(arguments=None):
    p = argparse.ArgumentParser(prog='chat-model card', description='Folder of `chat-model all` -> model card; fails when a skill is not good enough.')
    p.add_argument('folder')
    p.add_argument('output')
    p.add_argument('--count', type=int, required=True, help='questions per skill that the scores are of')
    p.add_argument('--build', default=BUILD, help='the folder that meson built into')
    args = p.parse_args(arguments)
    model = os.path.join(args.folder, 'tiny-chat-q8_0.gguf')
    scores = [load(os.path.join(args.folder, f'scores-{kind}.json')) for kind in KINDS]
    examples = '\n\n'.join('\n'.join(f'{m["role"]}: {m["content"]}' for m in messages) for messages in talks(model, args.build))
    with open(args.output, 'w', encoding='utf-8') as f:
        f.write(CARD.format(table=table(scores), examples=examples, **facts(args.folder, model, args.count)))
    print(table(scores))
    if low(scores):
        raise SystemExit(f'not good enough: {", ".join(low(scores))}')
