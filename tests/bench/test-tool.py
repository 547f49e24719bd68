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

MARKDOWN, TABLE, PEER = (os.path.join(os.path.dirname(os.path.abspath(__file__)), name) for name in ('markdown.py', 'table.py', 'peer.py'))


def run(*command, fails=None):
    """-> standard output; @fails: exit status and a part of the message."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
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

    first = generate(out, '--type', 'q4_k_m', '--vocab-size', '2600')
    assert first == generate(out, '--type', 'q4_k_m', '--vocab-size', '2600')
    assert first != generate(out, '--type', 'q4_k_m', '--vocab-size', '2600', '--seed', '2')
    assert b'[PAD2599]' in first and b'[PAD2600]' not in first
    os.unlink(out)
    empty, short = os.path.join(folder, 'empty'), os.path.join(folder, 'short')
    open(empty, 'w').close()
    open(short, 'wb').write(first[:3000])
    for options, message in (
            (('--vocab-size', '10'), 'has 2560 tokens'), (('--kv-heads', '3'), 'does not divide'), (('--head-dim', '33'), 'even'),
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
        assert set(r) == {'test', 'streams', 'depth', 'tokens', 'runs', 'tokens-per-second', 'lowest', 'highest', 'first-token-ms', 'percent-of-read-in-turns', 'ops'} | TRAFFIC, set(r)
        assert r['lowest'] <= r['tokens-per-second'] <= r['highest'] and r['gb-per-second'] > 0 and r['gflop-per-second'] > 0
        assert r['tokens'] == (64 if r['test'].startswith('pp') else 15 * r['streams']), r
        assert (r['first-token-ms'] is None) == r['test'].startswith('tg')
        assert r['percent-of-read-in-turns'] is None if r['test'].startswith('pp') else r['percent-of-read-in-turns'] > 0, r
        matmul = [o for o in r['ops'] if o['op'] == 'matmul' and o['weights'] == 'Q8_0']
        assert len(matmul) == 1 and set(matmul[0]) == {'op', 'weights', 'calls', 'us-per-call'} | TRAFFIC
        passes = matmul[0]['calls'] / 43  # 7 of each layer and the output; this model is so fast that streams may run one after the other
        assert passes in (range(1, 5) if r['test'].startswith('pp') else range(1, 15 * r['streams'] + 1) if r['streams'] > 1 else (15,)), r
        assert r['test'] in text
    before = time.monotonic()
    came = json.loads(run(BENCH, '--first-token', '--prompt', '16', '-s', '1', '-d', 'cpu', MODEL))['first-token-us'] / 1e6
    assert before < came < time.monotonic()
    assert j['kv-bytes'] >= 4 * 80 * 2 * 2 * 64  # tokens, keys and values, f16, at least 64 wide
    table = run(sys.executable, MARKDOWN, path)
    assert '| tiny-chat |' in table and 'tg16x4@d64' in table and '| tiny-chat | pp64 | Q8_0 |' in table, table
    assert json.loads(run(BENCH, '--prompt', '0', '--decode', '2', '-r', '1', '-s', '1', '--no-ops', '--cold', '-d', 'cpu', '--json', '-', MODEL))['results'][0]['ops'] == []


def test_encoder(folder):
    out = os.path.join(folder, 'bert.gguf')
    generate_all.load(TOOL).generate([out, '--family', 'nomic-bert', '--type', 'Q8_0', '--quiet'])
    j = json.loads(run(BENCH, '--prompt', '64', '-r', '1', '-s', '1,4', '-d', 'cpu', '-t', '1', '--json', '-', out))
    assert [r['test'] for r in j['results']] == ['emb64', 'emb64x4'] and all(r['tokens'] == 64 and r['tokens-per-second'] > 0 for r in j['results'])
    assert 'matmul' in [o['op'] for o in j['results'][0]['ops']]


def test_table(folder):
    """table.py runs its groups, and puts its tables where the last ones were."""
    figures, page = os.path.join(folder, 'figures.json'), os.path.join(folder, 'page.md')
    groups = ('--bench', BENCH, '--groups', 'types,isa,batch,start', '--models', 'tiny-Q4_0', '--isa', 'scalar')
    text = run(sys.executable, TABLE, *groups, '--repeat', '1', '--tokens', '32', '8', '--folder', folder, '--json', figures)
    for part in ('| tiny-Q4_0 | scalar |', '| tg8x7 | tiny-Q4_0 |', 'of one stream', '| warm start to first token', '| pp32 | matmul | Q4_0 |'):
        assert part in text, (part, text)
    with open(page, 'w', encoding='utf-8') as f:
        f.write('above\n<!-- table.py: begin -->\nold\n<!-- table.py: end -->\nbelow\n')
    run(sys.executable, TABLE, '--from', figures, '--docs', page)
    written = open(page, encoding='utf-8').read()
    assert written == 'above\n<!-- table.py: begin -->\n\n' + text + '\n<!-- table.py: end -->\nbelow\n', written
    run(sys.executable, TABLE, '--groups', 'none', fails=(2, 'none of types'))


FAKE_HEADER = """
#include <stdint.h>
enum ggml_log_level { GGML_LOG_LEVEL_ERROR = 4 };
typedef void *ggml_backend_reg_t;
struct llama_model_params { int unused; };
struct llama_context_params { uint32_t n_ctx, n_batch, n_seq_max; int n_threads, n_threads_batch; };
struct llama_batch { int n_tokens, *token, *pos, *n_seq_id, **seq_id; int8_t *logits; };
void llama_log_set (void (*log) (enum ggml_log_level, const char *, void *), void *data);
ggml_backend_reg_t ggml_backend_load (const char *path);
void llama_backend_init (void);
struct llama_model_params llama_model_default_params (void);
struct llama_context_params llama_context_default_params (void);
struct llama_model *llama_model_load_from_file (const char *path, struct llama_model_params params);
struct llama_context *llama_init_from_model (struct llama_model *model, struct llama_context_params params);
void llama_free (struct llama_context *context);
const struct llama_vocab *llama_model_get_vocab (const struct llama_model *model);
int llama_vocab_n_tokens (const struct llama_vocab *vocab);
struct llama_batch llama_batch_init (int n, int embd, int n_seq);
int llama_decode (struct llama_context *context, struct llama_batch batch);
void llama_synchronize (struct llama_context *context);
void *llama_get_memory (const struct llama_context *context);
void llama_memory_clear (void *memory, _Bool data);
_Bool llama_memory_seq_rm (void *memory, int seq, int from, int to);
"""
FAKE = """
#include <stdlib.h>
#include "llama.h"
void llama_log_set (void (*log) (enum ggml_log_level, const char *, void *), void *data) {}
ggml_backend_reg_t ggml_backend_load (const char *path) { return (void *) path; }
void llama_backend_init (void) {}
struct llama_model_params llama_model_default_params (void) { return (struct llama_model_params) { 0 }; }
struct llama_context_params llama_context_default_params (void) { return (struct llama_context_params) { 0 }; }
struct llama_model *llama_model_load_from_file (const char *path, struct llama_model_params params) { return malloc (1); }
struct llama_context *llama_init_from_model (struct llama_model *model, struct llama_context_params params) { return malloc (1); }
void llama_free (struct llama_context *context) { free (context); }
const struct llama_vocab *llama_model_get_vocab (const struct llama_model *model) { return 0; }
int llama_vocab_n_tokens (const struct llama_vocab *vocab) { return 100; }
struct llama_batch llama_batch_init (int n, int embd, int n_seq)
{
  struct llama_batch b = { 0, calloc (n, 4), calloc (n, 4), calloc (n, 4), calloc (n, sizeof (int *)), calloc (n, 1) };
  for (int i = 0; i < n; i++) b.seq_id[i] = calloc (1, 4);
  return b;
}
int llama_decode (struct llama_context *context, struct llama_batch b)
{
  for (int i = 0; i < b.n_tokens; i++) if (b.token[i] < 0 || b.token[i] >= 100) return 1;
  return 0;
}
void llama_synchronize (struct llama_context *context) {}
void *llama_get_memory (const struct llama_context *context) { return 0; }
void llama_memory_clear (void *memory, _Bool data) {}
_Bool llama_memory_seq_rm (void *memory, int seq, int from, int to) { return 1; }
"""


def test_peer(folder):
    """peer.py against a peer that does nothing, very fast."""
    for name, text in (('llama.h', FAKE_HEADER), ('ggml-backend.h', ''), ('fake.c', FAKE), ('empty.c', 'int x;')):
        with open(os.path.join(folder, name), 'w', encoding='utf-8') as f:
            f.write(text)
    for library, source in (('llama.v1.2', 'fake.c'), ('ggml', 'empty.c'), ('ggml-base', 'empty.c'), ('ggml-cpu-none', 'empty.c')):
        run(os.environ.get('CC', 'cc'), '-w', '-shared', '-fPIC', '-o', os.path.join(folder, f'lib{library}.so'), os.path.join(folder, source))
    figures = os.path.join(folder, 'peer.json')
    text = run(sys.executable, PEER, '--libraries', folder, '--headers', folder, '--bench', BENCH, '--pair', 'none:scalar', '--threads', '1', '--rounds', '1',
               '--case', '1,0,32,4', '--case', '2,16,0,4', '--json', figures, MODEL)
    rows = json.load(open(figures, encoding='utf-8'))
    assert [r['test'] for r in rows] == ['pp32', 'tg4', 'tg4x2@d16'], rows
    assert all(r['peer'] > r['ours'] > 0 and r['isa'] == 'scalar' for r in rows) and '| tiny-chat | scalar | pp32 |' in text
    run(sys.executable, PEER, '--libraries', folder, '--headers', folder, '--pair', 'other:scalar', MODEL, fails=(1, 'no libggml-cpu-other'))


def test_bench_errors(folder):
    for options, fails in (
            ((MODEL, '--streams', '0'), (2, '--streams')), ((MODEL, '--prompt', '5000', '-d', 'cpu'), (2, 'context window')), ((MODEL, '--kv', 'q8'), (2, 'f16, f32 and q8_0')),
            ((), (2, 'model file')), (('/nonexistent', '-d', 'cpu'), (1, 'cannot be opened')), ((MODEL, '--device', 'cpu:none'), (1, 'none')),
            ((MODEL, '--repeat', '0'), (2, '--repeat'))):
        run(BENCH, *options, fails=fails)


if __name__ == '__main__':
    try:
        import numpy  # noqa: F401
    except ImportError:
        print('numpy is not there')
        sys.exit(77)
    for test in (test_generator, test_bench, test_encoder, test_table, test_peer, test_bench_errors):
        with tempfile.TemporaryDirectory() as temporary:
            test(temporary)
        print('ok', test.__name__)
