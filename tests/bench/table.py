#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the models, runs local-llm-bench over them, and writes the tables of docs/BENCHMARKS.md.

Groups of rows:
  types     every common type of weights in the 1B shape, three in the 0.5B shape: prefill, decode, memory
  threads   one thread
  isa       the other instruction sets of this CPU
  depth     decode after 2,048 tokens
  batch     0.5B Q4_0: 1 to 8 streams at once
  busy      0.5B Q4_0 beside a program that never rests
  start     1B Q4_K_M: from the start of a process to its first token, the file in the page cache
  long      1B Q4_0: a prompt of 8,000 tokens
  sampling  what choosing a token costs"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import markdown  # noqa: E402  (the files beside this one)
from busy import spinner  # noqa: E402

GROUPS = ('types', 'threads', 'isa', 'depth', 'batch', 'busy', 'start', 'long', 'sampling')
MAIN = ('1b-Q4_0', '1b-Q4_K_M', '1b-Q8_0')
TYPES = ('1b-F16', '1b-BF16', '1b-Q4_0', '1b-Q5_0', '1b-Q8_0', '1b-Q4_K', '1b-Q4_K_M', '1b-Q5_K', '1b-Q6_K', '0.5b-Q4_0', '0.5b-Q4_K_M', '0.5b-Q8_0')
BATCH = '0.5b-Q4_0'
STREAMS = (1, 2, 3, 4, 5, 6, 7, 8)
BEGIN, END = '<!-- table.py: begin -->', '<!-- table.py: end -->'


def parse(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--bench', default=os.path.join(ROOT, 'build', 'tests', 'bench', 'local-llm-bench'), metavar='PROGRAM')
    p.add_argument('--groups', default=','.join(GROUPS), metavar='NAME,...', help='default all')
    p.add_argument('--models', metavar='NAME,...', help='these instead of those of the groups: 1b-Q4_0, 0.5b-Q8_0, tiny-Q4_0 ...; groups of one model take the first')
    p.add_argument('--isa', metavar='NAME,...', help='instruction sets of the group isa; default all but the best')
    p.add_argument('--threads', type=int, default=0, metavar='N', help='default one for each CPU')
    p.add_argument('--repeat', type=int, default=3, metavar='N', help='figures are medians of so many runs (3)')
    p.add_argument('--tokens', type=int, nargs=2, default=(512, 64), metavar=('PROMPT', 'DECODE'), help='512 64')
    p.add_argument('--folder', metavar='DIR', help='keep the models there, and take those that are there; default a temporary one')
    p.add_argument('--json', metavar='FILE', help='write the figures there')
    p.add_argument('--from', dest='source', nargs='+', metavar='FILE', help='measure nothing: tables of such files')
    p.add_argument('--peer', metavar='FILE', help="add peer.py's figures")
    p.add_argument('--docs', metavar='FILE', help='put the tables between its two marks; default standard output')
    o = p.parse_args(argv)
    o.groups = o.groups.split(',')
    for name in o.groups:
        if name not in GROUPS:
            p.error(f'--groups: "{name}" is none of {", ".join(GROUPS)}')
    return o


class Driver:
    def __init__(self, options, folder):
        self.options, self.folder, self.rows = options, folder, []
        self.began = time.monotonic()

    def model(self, name):
        path = os.path.join(self.folder, name + '.gguf')
        if not os.path.exists(path):
            preset, kind = name.split('-', 1)
            subprocess.run([os.path.join(ROOT, 'tools', 'generate-model'), '--quiet', '--preset', preset, '--type', kind, path], check=True)
        return path

    def say(self, *what):
        print(f'{time.monotonic() - self.began:6.0f} s', *what, file=sys.stderr, flush=True)

    def command(self, name, isa, threads, **run):
        command = [self.options.bench, '--device', 'cpu', '--threads', str(threads or self.options.threads)]
        for option, value in run.items():
            command += ['--' + option.replace('_', '-')] + ([] if value is True else [str(value)])
        return command + (['--isa', isa] if isa else []) + [self.model(name)]

    def bench(self, group, name, isa=None, threads=0, **run):
        """One run of the bench -> its figures, which become rows."""
        prompt, decode = self.options.tokens
        run = dict(prompt=prompt, decode=decode, streams='1', depth='0', repeat=self.options.repeat) | run
        out = subprocess.run(self.command(name, isa, threads, json='-', **run), check=True, stdout=subprocess.PIPE).stdout
        figures = json.loads(out) | {'group': group, 'name': name, 'file-bytes': os.path.getsize(self.model(name))}
        self.rows.append(figures)
        self.say(group, name, figures['machine']['isa'], f'{figures["machine"]["threads"]} threads',
                 *(f'{r["test"]} {r["tokens-per-second"]:.1f}' for r in figures['results']))
        return figures


def chosen(o, names):
    return o.models.split(',') if o.models else names


def run_types(d, o):
    for name in chosen(o, TYPES):
        d.bench('types', name)


def run_threads(d, o):
    for name in chosen(o, MAIN + (BATCH,)):
        d.bench('threads', name, threads=1)


def instruction_sets(d, o):
    """Those of this CPU but the best: the bench names them when asked for one that is none."""
    if o.isa:
        return o.isa.split(',')
    done = subprocess.run(d.command(chosen(o, (BATCH,))[0], 'none', 1, first_token=True), stderr=subprocess.PIPE, text=True)
    return done.stderr.strip().split('; it has ')[-1].split(', ')[1:]


def run_isa(d, o):
    for isa in instruction_sets(d, o):
        if isa == 'scalar':  # a definition, not meant to be fast
            d.bench('isa', chosen(o, (BATCH,))[0], isa=isa, prompt=32, decode=8, repeat=1)
        else:
            for name in chosen(o, MAIN + (BATCH,)):
                d.bench('isa', name, isa=isa)


def run_depth(d, o):
    for name in chosen(o, ('1b-Q4_0',)):
        d.bench('depth', name, prompt=0, depth='2048')


def run_batch(d, o):
    d.bench('batch', chosen(o, (BATCH,))[0], prompt=0, no_ops=True, streams=','.join(map(str, STREAMS)))


def run_busy(d, o):
    name, quick = chosen(o, (BATCH,))[0], dict(prompt=0, no_ops=True, repeat=max(o.repeat, 5))
    for threads in (1, 0):
        d.bench('busy', name, threads=threads, **quick)
    with spinner():
        for threads in (1, 0):
            d.bench('busy', name, threads=threads, **quick)['busy'] = True


def run_start(d, o):
    seconds, name = [], chosen(o, ('1b-Q4_K_M',))[0]
    for _ in range(o.repeat + 1):  # the first brings the file into the page cache
        began = time.monotonic()
        out = subprocess.run(d.command(name, None, 0, prompt=16, streams='1', first_token=True), check=True, stdout=subprocess.PIPE).stdout
        seconds.append(json.loads(out)['first-token-us'] / 1e6 - began)
    d.rows.append({'group': 'start', 'name': name, 'seconds': seconds[1:]})
    d.say('start', name, *(f'{s:.3f} s' for s in seconds[1:]))


def run_long(d, o):
    d.bench('long', chosen(o, ('1b-Q4_0',))[0], prompt=8000, decode=0, repeat=1, cold=True)


def run_sampling(d, o):
    text = subprocess.run([os.path.join(os.path.dirname(o.bench), 'bench-sampling')], check=True, stdout=subprocess.PIPE, text=True).stdout
    d.rows.append({'group': 'sampling', 'text': text})


# ---- tables ----

def of(rows, *groups):
    return [f for f in rows if f['group'] in groups]


def percent(value):
    return '' if value is None else f'{value:.0f}'


def rates(rows, out):
    out('| model | kernels | threads | prefill tokens/s | % of peak | decode tokens/s | GB/s | % of read | in turns | file MiB | peak RSS MiB | of file + KV |')
    out('| --- | --- | ---: | ' + ' | '.join(['---:'] * 9) + ' |')
    for f in rows:
        by = {r['test'][:2]: r for r in f['results']}
        pp, tg = by.get('pp'), by.get('tg')
        left = ('', '') if pp is None else (f'{pp["tokens-per-second"]:.1f}', percent(pp['percent-of-peak']))
        right = ('',) * 4 if tg is None else (f'{tg["tokens-per-second"]:.1f}', f'{tg["gb-per-second"]:.1f}', percent(tg['percent-of-read']), percent(tg['percent-of-read-in-turns']))
        memory = (f['file-bytes'] / 2**20, f['peak-rss-bytes'] / 2**20, f['peak-rss-bytes'] / (f['file-bytes'] + f['kv-bytes']))
        m = f['machine']
        out(f'| {f["name"]} | {m["isa"]} | {m["threads"]} | ' + ' | '.join((*left, *right)) + f' | {memory[0]:.0f} | {memory[1]:.0f} | {memory[2]:.2f} |')


def others(rows, out):
    out('| what | model | kernels | threads | tokens/s | % of read | in turns | |')
    out('| --- | --- | --- | ---: | ---: | ---: | ---: | --- |')
    base = {}
    for f in of(rows, 'depth', 'batch', 'busy', 'long'):
        for r in f['results']:
            what = r['test'] + (', one core busy' if f.get('busy') else '')
            rate, m, note = r['tokens-per-second'], f['machine'], ''
            if f['group'] == 'batch':
                base.setdefault('one', rate)
                note = f'{rate / base["one"]:.2f} of one stream'
            if f['group'] == 'busy' and m['threads'] == 1:
                base[bool(f.get('busy'))] = rate
            elif f['group'] == 'busy':
                note = f'{rate / base[bool(f.get("busy"))]:.2f} of one thread alone there'
            if f['group'] == 'long':
                note = f'first token after {r["first-token-ms"] / 1e3:.1f} s'
            out(f'| {what} | {f["name"]} | {m["isa"]} | {m["threads"]} | {rate:.1f} | {percent(r["percent-of-read"])} | {percent(r["percent-of-read-in-turns"])} | {note} |')
    for f in of(rows, 'start'):
        out(f'| warm start to first token, 16 before | {f["name"]} | | | | | | {statistics.median(f["seconds"]):.2f} s ({min(f["seconds"]):.2f}-{max(f["seconds"]):.2f}) |')


def ops(rows, out):
    """What takes time."""
    out('| model | kernels | threads | test | op | weights | % of time | us/call | GB/s | % of read | GOP/s | % of peak |')
    out('| --- | --- | ---: | --- | --- | --- | ' + ' | '.join(['---:'] * 6) + ' |')
    for f in rows:
        for r in f['results']:
            total = sum(o['calls'] * o['us-per-call'] for o in r['ops'])
            for o in r['ops']:
                share = 100 * o['calls'] * o['us-per-call'] / total
                if share >= 2:
                    out(f'| {f["name"]} | {f["machine"]["isa"]} | {f["machine"]["threads"]} | {r["test"]} | {o["op"]} | {o["weights"]} | {share:.0f} | '
                        f'{o["us-per-call"]:.1f} | {o["gb-per-second"]:.1f} | {percent(o["percent-of-read"])} | {o["gflop-per-second"]:.0f} | {percent(o["percent-of-peak"])} |')


def peer(path, out):
    out('| model | kernels | test | ours | llama.cpp | ratio |')
    out('| --- | --- | --- | ---: | ---: | ---: |')
    for r in json.load(open(path, encoding='utf-8')):
        a, b = r['ours'], r['peer']
        out(f'| {r["model"]} | {r["isa"]} | {r["test"]} | ' + (f'{a:.1f} | {b:.1f} | {a / b:.2f} |' if a is not None else f'| {b:.1f} | |'))


def tables(data, peer_path):
    lines = []
    out = lines.append
    rows = data['rows']
    ceilings = {}
    for group in GROUPS:  # memory changes from minute to minute: a group is measured in few of them
        measured = [f for f in of(rows, group) if 'machine' in f]
        markdown.share_ceilings(measured)
        for f in measured:
            m = f['machine']
            ceilings.setdefault((m['cpu'], m['threads'], m['isa']), []).append(tuple(f['best'].values()))
    out(f'Measured {data["date"]}. Ceilings, the best of the runs of each group:')
    out('')
    for (cpu, threads, isa), best in ceilings.items():
        read, int8, f32 = (f'{min(x):.0f}-{max(x):.0f}' if f'{min(x):.0f}' != f'{max(x):.0f}' else f'{max(x):.0f}' for x in zip(*best))
        out(f'- {cpu}, {threads} thread{"s" if threads > 1 else ""}, {isa}: read {read} GB/s, 8 bits {int8} GOP/s, f32 {f32} GFLOP/s')
    for title, body, wanted in (('Models', rates, ('types', 'threads', 'isa')), ('Contexts, streams, a busy core, start', others, ('depth', 'batch', 'busy', 'long', 'start')),
                                ('Ops', ops, ('types', 'threads', 'isa', 'depth', 'long'))):
        if of(rows, *wanted):
            out(f'\n### {title}\n')
            body(of(rows, *wanted), out)
    for f in of(rows, 'sampling'):
        out('\n### Choosing a token\n\n```\n' + f['text'].rstrip() + '\n```')
    if peer_path:
        out('\n### Beside llama.cpp, in one run\n')
        peer(peer_path, out)
    return '\n'.join(lines) + '\n'


def put(path, text):
    whole = open(path, encoding='utf-8').read()
    before, rest = whole.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    with open(path, 'w', encoding='utf-8') as f:
        f.write(before + BEGIN + '\n\n' + text + '\n' + END + after)


def main(argv):
    o = parse(argv)
    if o.source:
        parts = [json.load(open(path, encoding='utf-8')) for path in o.source]
        data = {'date': parts[-1]['date'], 'rows': [row for part in parts for row in part['rows']]}
    else:
        with tempfile.TemporaryDirectory(prefix='llm-table-') as temporary:
            driver = Driver(o, o.folder or temporary)
            data = {'date': time.strftime('%-d %B %Y'), 'rows': driver.rows}
            for group in o.groups:
                globals()['run_' + group](driver, o)
                if o.json:
                    with open(o.json, 'w', encoding='utf-8') as f:
                        json.dump(data, f, indent=1)
                        f.write('\n')
    text = tables(data, o.peer)
    if o.docs:
        put(o.docs, text)
    else:
        print(text, end='')


if __name__ == '__main__':
    main(sys.argv[1:])
