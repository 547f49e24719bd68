# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tiny model of every family and of every tensor type: generate-all.py TOOL FOLDER."""
import importlib.machinery
import importlib.util
import sys

sys.dont_write_bytecode = True


def load(path):
    spec = importlib.util.spec_from_loader('generate_model', importlib.machinery.SourceFileLoader('generate_model', path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(tool, folder):
    try:
        module = load(tool)
    except ImportError as e:
        print(e)
        return 77
    for family in module.families.FAMILIES:
        module.generate(['--family', family, '--type', 'F32', '--quiet', f'{folder}/family-{family}.gguf'])
    module.generate(['--family', 'gpt-oss', '--type', 'MXFP4_MOE', '--quiet', f'{folder}/family-gpt-oss-mxfp4.gguf'])
    for name in module.mixes.NAMES:
        module.generate(['--type', name, '--layers', '1', '--quiet', f'{folder}/type-{name}.gguf'])
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
