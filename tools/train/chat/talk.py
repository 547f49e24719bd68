# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a conversation is, and its text in the ChatML shape.

TEMPLATE (Jinja, goes into the GGUF file) and text() say the same; the unit test compares them where Jinja is there.
A tool's result goes to the model in a message of the user's, between <tool_response> marks: a service that knows
no role "tool" can send it as such.
"""
import json

IM_START, IM_END, END_OF_TEXT = '<|im_start|>', '<|im_end|>', '<|endoftext|>'
CONTROLS = (IM_START, IM_END, END_OF_TEXT)
MARKS = ('<tools>', '</tools>', '<tool_call>', '</tool_call>', '<tool_response>', '</tool_response>')
TOOLS_BEFORE = '# Tools\n\nThese functions can be called, one JSON object per line:\n<tools>'
TOOLS_AFTER = '\n</tools>\n\nTo call one, write:\n<tool_call>\n{"name": NAME, "arguments": {...}}\n</tool_call>'

TEMPLATE = """{%- if tools %}
{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
{{- BEFORE }}
{%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}
{{- AFTER + '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
{{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- elif message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' + (message.content or '') }}
{%- for call in message.tool_calls or [] %}
{%- set call = call.function or call %}
{%- if message.content or not loop.first %}{{- '\\n' }}{%- endif %}
{{- '<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
{{- call.arguments if call.arguments is string else (call.arguments | tojson) }}
{{- '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- elif message.role != 'system' or not loop.first %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
""".replace('BEFORE', repr(TOOLS_BEFORE)).replace('AFTER', repr(TOOLS_AFTER))


def compact(value):
    return json.dumps(value, ensure_ascii=False)


def tools_text(tools):
    return TOOLS_BEFORE + ''.join('\n' + compact(tool) for tool in tools) + TOOLS_AFTER


def call_text(name, arguments):
    return '<tool_call>\n' + compact({'name': name, 'arguments': arguments}) + '\n</tool_call>'


def response_text(content):
    return f'<tool_response>\n{content}\n</tool_response>'


def message(role, content):
    return {'role': role, 'content': content}


class Talk:
    """Messages, and what the last answer must be: [kind, value...] for checks.py."""

    def __init__(self, skill, system=None):
        self.skill, self.messages, self.expect = skill, [], None
        if system:
            self.messages.append(message('system', system))

    def say(self, user, assistant, *expect):
        self.messages += [message('user', user), message('assistant', assistant)]
        self.expect = list(expect) or ['has', assistant]
        return self

    def result(self, content, assistant, *expect):
        """A tool's result, and the answer to it."""
        return self.say(response_text(content), assistant, *expect)

    def record(self):
        return {'skill': self.skill, 'messages': self.messages, 'expect': self.expect}


def text(messages, open_answer=False):
    """What the model reads."""
    said = ''.join(f'{IM_START}{m["role"]}\n{m["content"]}{IM_END}\n' for m in messages)
    return said + (f'{IM_START}assistant\n' if open_answer else '')
