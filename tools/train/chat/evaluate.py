# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a GGUF file through the built service, on a bus of its own, over conversations of the evaluation split.

Every conversation is given up to its last question, with the right answers before it; the answer is greedy.
"""
import argparse
import json
import os
import shutil
import sys
import tempfile

from . import checks, corpus
from .pools import EVALUATION
from .skills import SKILLS

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', '..'))
LEAST = {'recall': 90, 'json': 90, 'tools': 90, 'help': 90, 'arithmetic': 75, 'sorting': 75, 'counting': 75}  # per cent
SEED = 11  # not the one that was looked at while the corpus was written
COUNT = 300  # conversations per skill
BUILD = os.environ.get('BUILD_DIR', os.path.join(ROOT, 'build'))


def service(model, build):
    """The harness of the bus tests, with this model alone."""
    sys.path.insert(0, os.path.join(ROOT, 'tests', 'bus'))
    programs = {'LLMD': 'src/daemon/local-llmd', 'LLM_ENGINE': 'src/worker/local-llm-engine', 'GSETTINGS_SCHEMA_DIR': 'data'}
    for name, path in programs.items():
        os.environ.setdefault(name, os.path.join(build, path))
    import harness
    folder = tempfile.mkdtemp(prefix='chat-model-')
    shutil.copy(model, os.path.join(folder, 'chat.gguf'))
    return harness, harness.Service(models_dir=folder), folder


def answer(harness, running, messages, max_tokens):
    from gi.repository import GLib
    packed = [{key: GLib.Variant('s', text) for key, text in m.items()} for m in messages]
    options = harness.v(temperature=0, max_tokens=max_tokens)
    return running.call('Chat', '(saa{sv}a{sv})', ('', packed, options))[0]['content']


def evaluate(model, build, skills, count, seed=SEED, show=0, max_tokens=320):
    """-> {skill: (right, of)}"""
    harness, running, folder = service(model, build)
    scores = {}
    try:
        with running:
            for skill in skills:
                right, shown = 0, 0
                for n in range(count):
                    c = corpus.conversation(seed, EVALUATION, n, skill)
                    said = answer(harness, running, c['messages'][:-1], max_tokens)
                    good = checks.right(c['expect'], said)
                    right += good
                    if not good and shown < show:
                        shown += 1
                        print(f'{skill} {n}: {c["messages"][-2]["content"]!r}\n  expected {c["messages"][-1]["content"]!r}\n  got      {said!r}')
                scores[skill] = (right, count)
                print(f'{skill:12} {right:5} of {count}  {100 * right / count:5.1f} %' + (f'  (at least {LEAST[skill]} %)' if skill in LEAST else ''), flush=True)
    finally:
        shutil.rmtree(folder)
    return scores


def main(arguments=None):
    p = argparse.ArgumentParser(prog='chat-model evaluate', description=__doc__)
    p.add_argument('model')
    p.add_argument('--build', default=BUILD, help='the folder that meson built into')
    p.add_argument('--count', type=int, default=COUNT, help='conversations per skill')
    p.add_argument('--seed', type=int, default=SEED)
    p.add_argument('--skill', action='append', choices=tuple(SKILLS), help='this one alone; may be given more than once')
    p.add_argument('--show', type=int, default=0, help='so many wrong answers per skill')
    p.add_argument('--json', help='a file for the scores')
    p.add_argument('--check', action='store_true', help='fail when a skill is below what is wanted')
    args = p.parse_args(arguments)
    scores = evaluate(args.model, args.build, args.skill or [s for s in SKILLS if s != 'mixed'], args.count, args.seed, args.show)
    if args.json:
        with open(args.json, 'w', encoding='utf-8') as f:
            json.dump({skill: 100 * right / of for skill, (right, of) in scores.items()}, f, indent=2)
    low = [skill for skill, (right, of) in scores.items() if 100 * right < LEAST.get(skill, 0) * of]
    if args.check and low:
        sys.exit(f'below what is wanted: {", ".join(low)}')
