# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all skills share: system messages, and questions in more words than they need."""
SYSTEMS = ['You are a helpful assistant.', 'You are a small helpful model.', 'Answer briefly.', 'Be kind and brief.', 'You are an assistant on this computer.',
           'You help people.']
BEFORE = ['', '', '', '', 'Please tell me: ', 'Hello. ', 'Hi! ', 'Quick question: ', 'One more question. ', 'Can you help me? ', 'Tell me, ', 'Okay. ']
AFTER = ['', '', '', '', ' Thanks!', ' Please.', ' Please answer briefly.', ' I want to know.']


def system(p):
    return p.r.choice(SYSTEMS) if p.r.random() < 0.3 else None


def asked(p, question):
    """The question, or more words around it; sometimes as people type."""
    before = p.r.choice(BEFORE)
    if before.endswith(', ') or before.endswith(': '):
        question = question[0].lower() + question[1:] if not question.startswith('I ') else question
    text = before + question + p.r.choice(AFTER)
    return text.lower() if p.r.random() < 0.06 else text


def divided(p, wordings):
    """@wordings: topic -> ways to ask.  -> topic, one way that is this split's: evaluation asks in words of its own."""
    while True:
        topic = p.r.choice(list(wordings))
        mine = [w for w in wordings[topic] if p.mine(f'{topic}/{w}')]
        if mine:
            return topic, p.r.choice(mine)
