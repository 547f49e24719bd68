# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sweep of hyperparameters over a small model of every family that tools/generate-model knows."""
import os
import subprocess
import sys
import tempfile

GENERATE, SWEEP = os.environ['LLM_GENERATE_MODEL'], os.environ['LLM_SWEEP']
sys.path.insert(0, os.path.dirname(GENERATE))
try:
    from modelgen import families
except ImportError as error:
    print(f'no models can be generated: {error}')
    sys.exit(77)

SMALL = dict(layers=2, width=32, ff=32, heads=2, head_dim=16, context=64)


def generate(path, family):
    shape = dict(SMALL, kv_heads=2 if family in families.ENCODERS else 1)
    if 'experts' in families.FAMILIES[family][1]:
        shape.update(experts=4, experts_used=2, expert_ff=32)
    options = [word for name, value in shape.items() for word in ('--' + name.replace('_', '-'), str(value))]
    subprocess.run([sys.executable, '-B', GENERATE, '--quiet', '--family', family, '--type', 'F32', *options, path], check=True)


with tempfile.TemporaryDirectory(prefix='llm-sweep-') as folder:
    paths = [os.path.join(folder, family) for family in families.FAMILIES]
    for path in paths:
        generate(path, os.path.basename(path))
    sys.exit(subprocess.run([SWEEP, *paths]).returncode)
