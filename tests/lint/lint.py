# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may include whom, and what every file must have. Usage: lint.py ROOT; --self-test shows that it can fail."""
import os
import re
import subprocess
import sys
import tempfile

ALLOWED = {
    'base': set(),
    'format': {'base'},
    'cache': {'base'},
    'text': {'base', 'format'},
    'grammar': {'base', 'text', 'cache'},
    'chat': {'base', 'format', 'text', 'grammar'},
    'compute': {'base', 'format', 'cache'},
    'engine': {'base', 'format', 'text', 'grammar', 'chat', 'compute', 'cache'},
    'worker': {'base', 'format', 'text', 'grammar', 'chat', 'compute', 'cache', 'engine'},
    'store': {'base'},
    'fetch': {'base', 'store'},
    'daemon': {'base', 'store'},
    'client': {'base'},
    'cli': {'base', 'client'},
    'gateway': {'base', 'client'},
}
ONLY_IN = [  # pattern, folders that may have it
    (r'\bVk[A-Z]\w+|\bvk[A-Z]\w+\s*\(|<vulkan/', ('src/compute/vulkan/',)),
    (r'<libsoup/', ('src/fetch/', 'src/gateway/')),
    (r'<libsecret/', ('src/client/', 'src/cli/', 'src/gateway/')),
    (r'\bg_settings_\w+|\bGSettings\b', ('src/daemon/',)),
    (r'\bjson_parser_load_from', ('src/store/', 'src/cli/scan-ollama.c', 'tests/')),
]
UNWANTED = re.compile(r'\b(' + 'TO' + 'DO|FIX' + r'ME|XX' + r'X)\b')
CODE = ('.c', '.h', '.py', '.js', '.comp', '.glsl', '.sh', '.build')
MAX_LINES = 800


def includes(folder, text):
    mine = folder.split('/')[1]
    for number, line in enumerate(text.splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+"([a-z-]+)/', line)
        if m and m.group(1) in ALLOWED and m.group(1) != mine and m.group(1) not in ALLOWED[mine]:
            yield number, f'{mine}/ may not include {m.group(1)}/'
    if mine == 'compute':
        other = {'src/compute/cpu': 'compute/vulkan/', 'src/compute/vulkan': 'compute/cpu/'}.get(folder)
        if other and f'"{other}' in text:
            yield 1, 'cpu/ and vulkan/ do not know each other'


def check_file(path, text):
    if path.endswith(CODE) and 'SPDX-License-Identifier: LGPL-2.1-or-later' not in '\n'.join(text.splitlines()[:3]):
        yield 1, 'no SPDX line'
    if path.startswith('src/') and path.endswith(('.c', '.h')):
        yield from includes(os.path.dirname(path), text)
        for pattern, folders in ONLY_IN:
            m = re.search(pattern, text)
            if m and not path.startswith(folders):
                yield text[:m.start()].count('\n') + 1, f'{m.group(0)!r} belongs to {", ".join(folders)}'
    if path.endswith(CODE):
        m = UNWANTED.search(text)
        if m:
            yield text[:m.start()].count('\n') + 1, f'{m.group(0)} in place of work'
        if len(text.splitlines()) > MAX_LINES:
            yield 1, f'{len(text.splitlines())} lines; beyond {MAX_LINES} it is two things'
    if path.startswith('shaders/') and path.endswith('.comp') and len(text.splitlines()) > 150:
        yield 1, 'a shader has at most 150 lines'


def check(root, paths):
    complaints, names = [], {}
    for path in sorted(paths):
        if path.startswith('src/') and path.endswith(('.c', '.h')):
            name = os.path.basename(path)
            if names.setdefault(name, path) != path:
                complaints.append(f'{path}:1: the name stands in {names[name]} too')
        try:
            text = open(os.path.join(root, path), encoding='utf-8').read()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        complaints += [f'{path}:{number}: {what}' for number, what in check_file(path, text)]
    return complaints


def tracked(root):
    try:
        done = subprocess.run(['git', '-C', root, 'ls-files'], capture_output=True, text=True)
        if done.returncode == 0 and done.stdout:
            return done.stdout.splitlines()
    except FileNotFoundError:
        pass
    return [os.path.relpath(os.path.join(d, f), root) for top in ('src', 'tests', 'shaders', 'tools') for d, _, files in os.walk(os.path.join(root, top)) for f in files]


def self_test():
    spdx = '/* SPDX-License-Identifier: LGPL-2.1-or-later */\n'
    bad = {
        'src/base/x.c': spdx + '#include "engine/engine.h"\n',
        'src/daemon/y.c': spdx + '#include "format/gguf.h"\n',
        'src/engine/z.c': spdx + 'VkDevice d;\n',
        'src/text/no.c': 'int x;\n',
        'src/chat/todo.c': spdx + '/* TO' + 'DO */\n',
        'src/store/dup.c': spdx, 'src/client/dup.c': spdx,
        'src/compute/cpu/v.c': spdx + '#include "compute/vulkan/device-vulkan.h"\n',
    }
    with tempfile.TemporaryDirectory() as root:
        for path, text in bad.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            open(os.path.join(root, path), 'w').write(text)
        complaints = check(root, bad)
    assert len(complaints) == 7, complaints


if __name__ == '__main__':
    if sys.argv[1] == '--self-test':
        self_test()
        sys.exit(0)
    found = check(sys.argv[1], tracked(sys.argv[1]))
    print('\n'.join(found))
    sys.exit(1 if found else 0)
