# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bundled chat model: corpus, tokenizer, training, export, evaluation.  `tools/train/chat-model` runs the steps."""
import os
import sys

sys.path.append(os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..')))  # for modelgen
