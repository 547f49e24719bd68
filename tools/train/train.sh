#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes data/models/tiny-stories.gguf: corpus, tokenizer, about ten minutes of training on two cores, a sample.
# Needs Debian's python3-torch and python3-numpy. Usage: tools/train/train.sh [MINUTES]
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
model=$here/../../data/models/tiny-stories.gguf
mkdir -p "$(dirname -- "$model")"
cd "$here"
/usr/bin/python3 corpus.py "$work/corpus"
/usr/bin/python3 train.py --minutes "${1:-10}" "$work/corpus" "$model"
/usr/bin/python3 generate.py "$model" 'Once upon a time'
