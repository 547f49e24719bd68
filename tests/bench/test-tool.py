# SPDX-License-Identifier: LGPL-2.1-or-later
"""tools/generate-model at its command line, and local-llm-bench's JSON, read by others."""
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

generate_all = importlib.import_module('generate-all')
TOOL, BENCH, MODEL = (os.environ[k] for k in ('LLM_GENERATE_MODEL', 'LLM_BENCH', 'LLM_BENCH_MODEL'))

MARKDOWN = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'markdown.py')


def run(*command, fails=None):
    """-> standard output; @fails: exit status and a part of the message."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if fails is None:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == fails[0] and fails[1] in done.stderr, (command, done.returncode, done.stderr)
        assert 'Traceback' not in done.stderr, done.stderr
    return done.stdout


def test_generator(folder):
    out = os.path.join(folder, 'm.gguf')
    tool = generate_all.load(TOOL)

    def generate(path, *options):
        tool.generate([path, '--quiet', *options])
        return open(path, 'rb').read()

    first = generate(out, '--type', 'q4_k_m', '--vocab-size', '1100')
    assert first == generate(out, '--type', 'q4_k_m', '--vocab-size', '1100')
    assert first != generate(out, '--type', 'q4_k_m', '--vocab-size', '1100', '--seed', '2')
    assert b'[PAD1099]' in first and b'[PAD1100]' not in first
    os.unlink(out)
    empty, short = os.path.join(folder, 'empty'), os.path.join(folder, 'short')
    open(empty, 'w').close()
    open(short, 'wb').write(first[:3000])
    for options, message in (
            (('--vocab-size', '10'), 'has 1024 tokens'), (('--kv-heads', '3'), 'does not divide'), (('--head-dim', '33'), 'even'),
            (('--family', 'bert', '--width', '100', '--head-dim', '32'), '--width = --heads'), (('--family', 'mixtral', '--experts-used', '9'), '1 to 8'),
            (('--layers', '0'), 'at least 1'), (('--seed', '-1'), 'negative'), (('--vocab-from', empty), 'empty'), (('--vocab-from', short), 'ends within'),
            (('--vocab-from', TOOL), 'no GGUF')):
        try:
            generate(out, *options)
        except tool.gguf.FormatError as e:
            assert message in str(e), (options, e)
        else:
            raise AssertionError(options)
    run(sys.executable, TOOL, out, '--type', 'q9', fails=(2, 'Q4_K_M'))
    run(sys.executable, TOOL, out, '--vocab-from', '/nonexistent', fails=(1, 'No such file'))
    assert 'Q8_0' in run(sys.executable, TOOL, '--help')
    assert sorted(os.listdir(folder)) == ['empty', 'short']


TRAFFIC = {'gb-per-second', 'percent-of-read', 'gflop-per-second', 'percent-of-peak'}


def test_bench(folder):
    path = os.path.join(folder, 'figures.json')
    text = run(BENCH, '--prompt', '64', '--decode', '16', '--repeat', '1', '--streams', '1,4', '--depth', '0,64', '--device', 'cpu', '--threads', '1',
               '--json', path, MODEL)
    j = json.load(open(path))
    assert set(j) == {'format', 'version', 'machine', 'model', 'device', 'load-ms', 'memory-bytes', 'kv-bytes', 'peak-rss-bytes', 'results'}, set(j)
    assert j['format'] == 'local-llm-bench/1' and j['device']['id'] == 'cpu' and j['machine']['threads'] == 1
    assert all(j['machine'][k] > 0 for k in ('read-gb-per-second', 'int8-gop-per-second', 'f32-gflop-per-second')) and j['machine']['isa']
    assert j['model']['architecture'] == 'llama' and j['model']['parameters'] > 500000 and j['model']['quantization'] == 'Q8_0'
    assert j['load-ms'] > 0 and j['memory-bytes'] > j['model']['weight-bytes'] > 0 and j['peak-rss-bytes'] > 1 << 20
    names = [r['test'] for r in j['results']]
    assert names == ['pp64', 'tg16', 'pp64x4', 'tg16x4', 'pp64@d64', 'tg16@d64', 'pp64x4@d64', 'tg16x4@d64'], names
    for r in j['results']:
        assert set(r) == {'test', 'streams', 'depth', 'tokens', 'runs', 'tokens-per-second', 'lowest', 'highest', 'first-token-ms', 'ops'} | TRAFFIC, set(r)
        assert r['lowest'] <= r['tokens-per-second'] <= r['highest'] and r['gb-per-second'] > 0 and r['gflop-per-second'] > 0
        assert r['tokens'] == (64 if r['test'].startswith('pp') else 15 * r['streams']), r
        assert (r['first-token-ms'] is None) == r['test'].startswith('tg')
        matmul = [o for o in r['ops'] if o['op'] == 'matmul' and o['weights'] == 'Q8_0']
        assert len(matmul) == 1 and set(matmul[0]) == {'op', 'weights', 'calls', 'us-per-call'} | TRAFFIC
        passes = matmul[0]['calls'] / 36  # this model is so fast that streams may run one after the other
        assert passes in (range(1, 5) if r['test'].startswith('pp') else range(1, 15 * r['streams'] + 1) if r['streams'] > 1 else (15,)), r
        assert r['test'] in text
    before = time.monotonic()
    came = json.loads(run(BENCH, '--first-token', '--prompt', '16', '-s', '1', '-d', 'cpu', MODEL))['first-token-us'] / 1e6
    assert before < came < time.monotonic()
    assert j['kv-bytes'] >= 4 * 80 * 2 * 2 * 64  # tokens, keys and values, f16, at least 64 wide
    table = run(sys.executable, MARKDOWN, path)
    assert '| tiny-stories |' in table and 'tg16x4@d64' in table and '| tiny-stories | pp64 | Q8_0 |' in table, table
    assert json.loads(run(BENCH, '--prompt', '0', '--decode', '2', '-r', '1', '-s', '1', '--no-ops', '-d', 'cpu', '--json', '-', MODEL))['results'][0]['ops'] == []


def test_encoder(folder):
    out = os.path.join(folder, 'bert.gguf')
    generate_all.load(TOOL).generate([out, '--family', 'nomic-bert', '--type', 'Q8_0', '--quiet'])
    j = json.loads(run(BENCH, '--prompt', '64', '-r', '1', '-s', '1,4', '-d', 'cpu', '-t', '1', '--json', '-', out))
    assert [r['test'] for r in j['results']] == ['emb64', 'emb64x4'] and all(r['tokens'] == 64 and r['tokens-per-second'] > 0 for r in j['results'])
    assert 'matmul' in [o['op'] for o in j['results'][0]['ops']]


def test_bench_errors(folder):
    for options, fails in (
            ((MODEL, '--streams', '0'), (2, '--streams')), ((MODEL, '--prompt', '5000', '-d', 'cpu'), (2, 'context window')), ((MODEL, '--kv', 'q8'), (2, 'f16 and f32')),
            ((), (2, 'model file')), (('/nonexistent', '-d', 'cpu'), (1, 'cannot be opened')), ((MODEL, '--device', 'cpu:none'), (1, 'none')),
            ((MODEL, '--repeat', '0'), (2, '--repeat'))):
        run(BENCH, *options, fails=fails)


if __name__ == '__main__':
    try:
        import numpy  # noqa: F401
    except ImportError:
        print('numpy is not there')
        sys.exit(77)
    for test in (test_generator, test_bench, test_encoder, test_bench_errors):
        with tempfile.TemporaryDirectory() as temporary:
            test(temporary)
        print('ok', test.__name__)
