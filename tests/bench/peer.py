#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures local-llm-bench and llama.cpp in turn: same files, same threads, same kernels, medians and their ratio.

llama.cpp comes from whoever measures: a folder of its shared libraries (libllama, libggml, libggml-base, and a libggml-cpu-NAME
for each instruction set) and the folders of the headers that belong to them."""
import argparse
import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

from busy import spinner  # noqa: E402  (the file beside this one)

PAIRS = ['zen4:avx512-vnni', 'haswell:avx2']


def parse(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('models', nargs='+', metavar='MODEL.gguf')
    p.add_argument('--libraries', required=True, metavar='DIR', help="the peer's shared libraries")
    p.add_argument('--headers', required=True, action='append', metavar='DIR', help='where llama.h and ggml.h lie; may be repeated')
    p.add_argument('--bench', default='build/tests/bench/local-llm-bench', metavar='PROGRAM', help='ours; "" = the peer alone')
    p.add_argument('--pair', action='append', metavar='CPU:ISA', help='the libggml-cpu-CPU to compare with our kernels ISA; default ' + ' '.join(PAIRS))
    p.add_argument('--threads', type=int, default=2, metavar='N')
    p.add_argument('--case', action='append', metavar='STREAMS,DEPTH,PROMPT,DECODE', help='default 1,0,512,64')
    p.add_argument('--rounds', type=int, default=3, metavar='N', help='runs of each, in turn; figures are medians (3)')
    p.add_argument('--busy', action='store_true', help='beside a program that never rests')
    p.add_argument('--json', metavar='FILE', help='write the figures as JSON too')
    o = p.parse_args(argv)
    o.pair = [tuple(x.split(':', 1)) for x in o.pair or PAIRS]
    o.case = [tuple(int(n) for n in x.split(',')) for x in o.case or ['1,0,512,64']]
    if any(len(x) != 2 for x in o.pair) or any(len(x) != 4 for x in o.case):
        p.error('a --pair is CPU:ISA, a --case is STREAMS,DEPTH,PROMPT,DECODE')
    return o


def library(folder, name):
    found = [f for f in sorted(os.listdir(folder)) if re.fullmatch(rf'lib{name}(\.v[\d.]+)?\.so[\d.]*', f)]
    if not found:
        sys.exit(f'peer.py: {folder} holds no lib{name}.so')
    return os.path.join(folder, found[0])


def build(o, folder):
    """peer.c with the peer's header -> a program in @folder, which runs from there alone."""
    for path in glob.glob(os.path.join(o.libraries, 'lib*.so*')):
        if not os.path.basename(path).startswith('libggml-cpu-'):
            shutil.copy(path, folder)
    program = os.path.join(folder, 'peer')
    subprocess.run([os.environ.get('CC', 'cc'), '-O2', '-o', program, os.path.join(HERE, 'peer.c'), *('-I' + d for d in o.headers),
                    *(library(folder, n) for n in ('llama', 'ggml', 'ggml-base')), '-Wl,-rpath,' + folder], check=True)
    return program


class Peer:
    """One of its processes, with a model; it rests between the cases."""

    def __init__(self, program, cpu, model, threads):
        self.process = subprocess.Popen([program, cpu, model, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f'peer.py: the peer ended with {self.process.wait()}')
        return json.loads(line)

    def run(self, case):
        self.process.stdin.write(' '.join(map(str, case)) + '\n')
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def ours(o, model, isa, case):
    streams, depth, prompt, decode = case
    out = subprocess.run([o.bench, '--device', 'cpu', '--isa', isa, '--threads', str(o.threads), '--streams', str(streams), '--depth', str(depth),
                          '--prompt', str(prompt), '--decode', str(decode), '--repeat', '1', '--no-ops', '--json', '-', model],
                         check=True, stdout=subprocess.PIPE).stdout
    figures = json.loads(out)
    if figures['machine']['isa'] != isa:
        sys.exit(f'peer.py: this CPU has no {isa}')
    rates = {r['test'][:2]: r['tokens-per-second'] for r in figures['results']}
    return {'prefill': rates.get('pp', 0), 'decode': rates.get('tg', 0)}


def compare(o, program, folder, model, cpu, isa):
    path = shutil.copy(library(o.libraries, 'ggml-cpu-' + cpu), folder)
    peer = Peer(program, path, model, o.threads)
    for case in o.case:
        rounds = {'ours': [], 'peer': []}
        with spinner(o.busy):
            for _ in range(o.rounds):
                rounds['peer'].append(peer.run(case))
                if o.bench:
                    rounds['ours'].append(ours(o, model, isa, case))
        for what, count in (('prefill', case[2]), ('decode', case[3])):
            if count == 0:
                continue
            row = {'model': os.path.basename(model).removesuffix('.gguf'), 'cpu': cpu, 'isa': isa, 'test': name(what, case, o.busy)}
            for who, all_rounds in rounds.items():
                row[who] = statistics.median(r[what] for r in all_rounds) if all_rounds else None
                row[who + '-rounds'] = [r[what] for r in all_rounds]
            yield row
    peer.close()
    os.unlink(path)


def name(what, case, busy):
    streams, depth, prompt, decode = case
    return (f'pp{prompt}' if what == 'prefill' else f'tg{decode}') + (f'x{streams}' if streams > 1 else '') + (f'@d{depth}' if depth else '') + (' busy' if busy else '')


def print_row(row):
    a, b = row['ours'], row['peer']
    print(f'| {row["model"]} | {row["isa"]} | {row["test"]} | {"" if a is None else f"{a:.1f}"} | {b:.1f} | {"" if a is None else f"{a / b:.2f}"} |', flush=True)


def main(argv):
    o = parse(argv)
    rows = []
    print('| model | kernels | test | ours | llama.cpp | ratio |\n| --- | --- | --- | ---: | ---: | ---: |', flush=True)
    with tempfile.TemporaryDirectory(prefix='llm-peer-') as folder:
        program = build(o, folder)
        for model in o.models:
            for cpu, isa in o.pair:
                for row in compare(o, program, folder, model, cpu, isa):
                    rows.append(row)
                    print_row(row)
    if o.json:
        with open(o.json, 'w', encoding='utf-8') as f:
            json.dump(rows, f, indent=1)
            f.write('\n')


if __name__ == '__main__':
    main(sys.argv[1:])
