#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""JSON of local-llm-bench -> tables in Markdown: markdown.py FIGURES.json..."""
import json
import sys


def row(*cells):
    print('| ' + ' | '.join(cells) + ' |')


def share(value):
    return '' if value is None else f' ({value:.0f} %)'


CEILINGS = ('read-gb-per-second', 'int8-gop-per-second', 'f32-gflop-per-second')


def share_ceilings(figures):
    """What one run found the machine able to do, it was able to do in all: percentages are of the best."""
    for f in figures:
        same = [g['machine'] for g in figures if all(g['machine'][k] == f['machine'][k] for k in ('cpu', 'threads', 'isa'))]
        f['best'] = {k: max(m[k] for m in same) for k in CEILINGS}
    for f in figures:
        for o in [x for r in f['results'] for x in (r, *r['ops'])]:
            peak = o['percent-of-peak'] and 100 * o['gflop-per-second'] / o['percent-of-peak']  # the one of its type of weights
            kind = min(CEILINGS[1:], key=lambda k: abs(f['machine'][k] - (peak or 0)))
            for percent, rate_of, ceiling in (('percent-of-read', 'gb-per-second', CEILINGS[0]), ('percent-of-peak', 'gflop-per-second', kind)):
                if o[percent] is not None:
                    o[percent] = 100 * o[rate_of] / f['best'][ceiling]


def rate(r):
    """Tokens a second, and the share of the ceiling that counts: multiply-adds of a prefill, reading of a decode."""
    percent = r['percent-of-peak'] if r['test'].startswith('pp') else r['percent-of-read']
    return f'{r["tokens-per-second"]:.1f}' + share(percent)


def models(figures):
    tests = list(dict.fromkeys(r['test'] for f in figures for r in f['results']))
    row('model', 'weights MiB', 'load ms', 'peak RSS MiB', *tests, 'TTFT ms')
    row('---', *['---:'] * (4 + len(tests)))
    for f in figures:
        results = {r['test']: r for r in f['results']}
        first = next((r['first-token-ms'] for r in f['results'] if r['first-token-ms'] is not None), None)
        row(f['model']['file'].removesuffix('.gguf'), f'{f["model"]["weight-bytes"] / 2**20:.0f}', f'{f["load-ms"]:.0f}', f'{f["peak-rss-bytes"] / 2**20:.0f}',
            *(rate(results[t]) if t in results else '' for t in tests), '' if first is None else f'{first:.0f}')


def matmuls(figures):
    """The matrix products of one-stream decode and of prefill."""
    row('model', 'test', 'weights', 'us/call', 'GB/s', 'GFLOP/s')
    row('---', '---', '---', *['---:'] * 3)
    for f in figures:
        for r in f['results']:
            for o in r['ops']:
                if o['op'].startswith('matmul') and r['streams'] == 1:
                    row(f['model']['file'].removesuffix('.gguf'), r['test'], o['weights'], f'{o["us-per-call"]:.0f}',
                        f'{o["gb-per-second"]:.2f}' + share(o['percent-of-read']), f'{o["gflop-per-second"]:.1f}' + share(o['percent-of-peak']))


def main(paths):
    figures = [json.load(open(path)) for path in paths]
    share_ceilings(figures)
    machines = {(f['machine']['cpu'], f['machine']['threads'], f['device']['driver']): (f['machine']['isa'], *f['best'].values()) for f in figures}
    for (cpu, threads, driver), (isa, read, int8, f32) in machines.items():
        print(f'- {driver}; {cpu}, {threads} threads: read {read:.1f} GB/s; {isa}: int8 {int8:.0f} GOP/s, f32 {f32:.0f} GFLOP/s')
    print()
    models(figures)
    print()
    matmuls(figures)


if __name__ == '__main__':
    main(sys.argv[1:])
