# SPDX-License-Identifier: LGPL-2.1-or-later
"""Questions about the service: one answer per topic, many ways to ask.  Evaluation asks in wordings that training never saw."""
import functools

from .. import docs
from ..talk import Talk
from .frame import asked, divided, system

HOW = ['How do I {d}?', 'How can I {d}?', 'What is the command to {d}?', 'Which command do I use to {d}?', 'I want to {d}. How?', 'Show me how to {d}.',
       'Can you explain how to {d}?', 'I would like to {d}. What do I type?', 'What do I do to {d}?', 'Is there a way to {d}?', 'How does one {d}?']
WHAT = ['What is {d}?', 'Explain {d}.', 'What does {d} mean?', 'Can you explain {d}?', 'Tell me about {d}.', 'I do not know what {d} is.',
        'Please explain {d} to me.', 'What is meant by {d}?', 'Help me to understand {d}.']
COMMAND = ['What does llmctl {d} do?', 'What is llmctl {d}?', 'Explain llmctl {d}.', 'What is the command {d} for?', 'When do I use llmctl {d}?', 'Tell me about llmctl {d}.',
           'What happens when I type llmctl {d}?', 'I do not understand llmctl {d}.', 'Help for llmctl {d}?']
SETTING = ['What does the setting {d} do?', 'What is the setting {d} for?', 'Explain the setting {d}.', 'What is {d} in the settings?', 'Tell me about the setting {d}.',
           'What can I change with {d}?', 'Help for the setting {d}?', 'I do not understand the setting {d}.']
# what is asked for: the answer, and the ways to say what is wanted
TASKS = {
    'list': ('Type llmctl list. It shows the models in the store.', ['list the models', 'see all models', 'list my models', 'show which models there are']),
    'import': ('Type llmctl import FILE.gguf NAME. It copies a GGUF file into the store.', ['import a model', 'add a model', 'install a model file', 'bring a GGUF file into the store']),
    'scan': ('Type llmctl import --scan. It finds the models that other programs have downloaded.', ['use the models of Ollama', 'find models that are already on this disk', 'import what other programs have downloaded']),
    'run': ('Type llmctl run MODEL PROMPT. Without a prompt it is a chat.', ['run a model', 'ask a model something', 'chat with a model', 'start a chat']),
    'cancel': ('Press Ctrl-C in llmctl. A program calls Cancel on its request.', ['cancel an answer', 'cancel a request', 'stop an answer', 'stop the model while it writes']),
    'delete': ('Type llmctl delete MODEL. Its files go when no other model needs them.', ['delete a model', 'remove a model', 'get rid of a model']),
    'show': ('Type llmctl show MODEL. It shows what is known of a model.', ['see the details of a model', 'learn more about one model', 'show a model']),
    'ps': ('Type llmctl ps. It lists the models that are loaded.', ['see which models are loaded', 'list the loaded models', 'see what is in memory']),
    'verify': ('Type llmctl verify MODEL. It reads the files again and compares them with what was imported.', ['check the files of a model', 'verify a model', 'find out if a model is damaged']),
    'pin': ('Type llmctl pin MODEL. A pinned model is kept from garbage collection.', ['keep a model for ever', 'pin a model', 'protect a model from garbage collection']),
    'alias': ('Type llmctl alias ALIAS MODEL. It gives a model another name.', ['give a model another name', 'rename a model', 'make an alias']),
    'gc': ('Type llmctl gc. With --dry-run it only prints what would be deleted.', ['free disk space', 'collect garbage', 'delete old files of the service', 'clean up']),
    'stats': ('Type llmctl stats. It shows how often compiled artifacts were found, and what they cost.', ['see the statistics', 'see what the compile cache does', 'print the counters of the cache']),
    'status': ('Type llmctl status. It shows the service, its devices and its counters.', ['see the state of the service', 'check that the service runs', 'see which devices are used']),
    'embed': ('Type llmctl embed MODEL TEXT. It prints an embedding as JSON.', ['make an embedding', 'get the vector of a text', 'embed a text']),
    'config': ('Type llmctl config. It lists the settings; config set KEY VALUE changes one.', ['change a setting', 'see the settings', 'configure the service']),
    'temperature': ('Type llmctl run -t NUMBER. With 0 the answer is always the same.', ['set the temperature', 'get the same answer each time', 'make the answers less random']),
    'length': ('Type llmctl run -n NUMBER. The answer then has at most so many tokens.', ['limit the length of an answer', 'get a shorter answer', 'limit the number of tokens']),
    'system': ('Type llmctl run --system=TEXT. It is the first message of the chat.', ['give a system message', 'set the system prompt', 'tell the model how to behave']),
    'stream': ('Call Stream of org.local.LLM. The answer comes as Token signals, then Finished.', ['stream an answer over D-Bus', 'get tokens one by one in a program', 'receive an answer while it is written']),
    'session': ('Type local-llmd --session. It then runs on the session bus.', ['start the service by hand', 'run the service without root', 'use the session bus']),
}
CONCEPTS = {
    'kv': ('A KV cache keeps the keys and values of all tokens so far, so that each new token needs only its own work.', ['a KV cache', 'the KV cache', 'the key-value cache']),
    'token': ('A token is a piece of text, often a word or a part of one. A model reads and writes tokens.', ['a token', 'the word token', 'tokens']),
    'tokenizer': ('A tokenizer cuts text into tokens and joins tokens to text.', ['a tokenizer', 'the tokenizer', 'tokenization']),
    'context': ('The context window is the number of tokens that a model can see at once.', ['the context window', 'a context window', 'the context of a model']),
    'quant': ('Quantisation stores the weights with fewer bits, so that a model needs less memory.', ['quantisation', 'a quantised model', 'quantization']),
    'gguf': ('GGUF is a file format for models: weights, tokenizer and metadata in one file.', ['GGUF', 'a GGUF file', 'the GGUF format']),
    'dbus': ('D-Bus is how programs of a Linux desktop talk to each other. This service is org.local.LLM on it.', ['D-Bus', 'the bus', 'org.local.LLM']),
    'embedding': ('An embedding is a list of numbers for a text. Texts that mean the like have vectors with a small angle between them.', ['an embedding', 'embeddings', 'the embedding of a text']),
    'sampling': ('Sampling draws the next token by its probability. Temperature 0 always takes the most likely one.', ['sampling', 'greedy decoding', 'the temperature']),
    'prefill': ('Prefill is the reading of the prompt. All its tokens go through the model in large batches.', ['prefill', 'the prefill', 'prompt processing']),
    'engine': ('The engine is the process that reads models and computes. It has no network and no home.', ['the engine', 'local-llm-engine', 'the engine process']),
    'broker': ('local-llmd is the service on the bus. It never parses a model; the engine does that.', ['local-llmd', 'the broker', 'the daemon']),
    'store': ('The store is where the models are kept. Equal files are kept once.', ['the store', 'the model store', 'the store of models']),
    'privacy': ('Nothing leaves this machine. No prompt is written to a log.', ['the privacy of this service', 'what happens to my data', 'the protection of my data']),
    'template': ('A chat template says how messages become the text that a model reads.', ['a chat template', 'the chat template', 'the chat form']),
    'schema': ('A JSON schema says which fields an answer has and of which type they are.', ['a JSON schema', 'the schema', 'structured output']),
    'tool': ('A tool is a function that the model can ask the program to call. The program sends the result back.', ['a tool call', 'tool calling', 'function calling']),
}


@functools.lru_cache(None)
def topics():
    """-> ({topic: wordings}, {topic: answer})"""
    answers, wordings = {}, {}
    for forms, table in ((HOW, TASKS), (WHAT, CONCEPTS)):
        for key, (answer, wanted) in table.items():
            answers[key], wordings[key] = answer, [f.format(d=d) for f in forms for d in wanted]
    for forms, table in ((COMMAND, docs.commands()), (SETTING, docs.settings())):
        for key, answer in table.items():
            answers[f'doc/{key}'], wordings[f'doc/{key}'] = answer, [f.format(d=key) for f in forms]
    return wordings, answers


def turn(p):
    wordings, answers = topics()
    topic, question = divided(p, wordings)
    return asked(p, question), answers[topic], topic


def talk(p):
    t = Talk('help', system(p))
    for _ in range(p.r.choice((1, 1, 1, 2))):
        question, answer, _ = turn(p)
        t.say(question, answer, 'is', answer)
    return t
