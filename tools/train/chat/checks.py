# SPDX-License-Identifier: LGPL-2.1-or-later
"""Is this answer what was expected?  Kinds: is (text), has (every text), ends (in the number), last (number), json, tool, story."""
import json
import re


def numbers(text):
    return re.findall(r'-?\d+', text)


def tool_call(text):
    m = re.search(r'<tool_call>\s*(.*?)\s*</tool_call>', text, re.DOTALL)
    return json.loads(m.group(1)) if m else None


def has(text, word):
    """As a word of its own: 12 does not have 1."""
    return re.search(rf'(?<!\w){re.escape(word)}(?!\w)', text, re.IGNORECASE) is not None


def right(expect, text):
    kind, values, text = expect[0], expect[1:], text.strip()
    try:
        if kind == 'is':
            return text == values[0]
        if kind == 'has':
            return all(has(text, v) for v in values)
        if kind in ('ends', 'last'):
            return numbers(text)[-1:] == [values[0]]
        if kind == 'json':
            return json.loads(text) == values[0]
        if kind == 'tool':
            return tool_call(text) == values[0]
        return len(text) > 200 and text[-1] in '."!' and values[0].lower() in text.lower()  # a story
    except json.JSONDecodeError:
        return False
