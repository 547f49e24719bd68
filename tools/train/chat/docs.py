# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the project's own documentation says, for questions about it: the manual's commands, the settings, the bus methods."""
import functools
import os
import re
import xml.etree.ElementTree as ElementTree

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', '..')


def plain(roff):
    """roff -> text."""
    text = re.sub(r'\\f[BIRP]', '', roff).replace('\\-', '-').replace('\\(', '(')
    return re.sub(r'\s+', ' ', text).strip()


def first_sentence(text):
    return re.split(r'(?<=\.)\s', text)[0]


@functools.lru_cache(None)
def commands():
    """llmctl's commands -> what each does, in one sentence."""
    with open(os.path.join(ROOT, 'data', 'man', 'llmctl.1'), encoding='utf-8') as f:
        text = f.read()
    lines = text.split('.SH COMMANDS')[1].split('.SH ')[0].splitlines()
    found = {}
    for i, line in enumerate(lines):
        m = re.match(r'\.(?:B|BI|BR) "?([a-z]+)', line)
        if m and lines[i - 1] == '.TP' and m.group(1) not in found:
            body = ' '.join(x for x in lines[i + 1:i + 6] if not x.startswith('.'))
            found[m.group(1)] = first_sentence(plain(body))
    return {k: v for k, v in found.items() if 10 < len(v) < 220}


@functools.lru_cache(None)
def settings():
    """Keys of the service's settings -> their summaries."""
    root = ElementTree.parse(os.path.join(ROOT, 'data', 'org.local.LLM.gschema.xml')).getroot()
    found = {key.get('name'): plain(key.findtext('summary') or '') for key in root.iter('key')}
    return {k: v.rstrip('.') + '.' for k, v in found.items() if v and not k.startswith('last-')}
