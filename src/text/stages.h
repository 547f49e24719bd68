/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a pre-tokenizer is made of: rows, in pretokenizers.c.
 */
#pragma once

#include "text/pretokenize.h"
#include "text/run-sets.h"
#include "text/word-rule.h"

G_BEGIN_DECLS

typedef enum {
  LLM_STAGE_END,
  LLM_STAGE_WORDS,    /* by a rule */
  LLM_STAGE_RUNS,     /* of a set */
  LLM_STAGE_GROUPS,   /* of three digits, counted from the last */
  LLM_STAGE_THOUSANDS, /* cuts before the last three digits, the last six, ... */
  LLM_STAGE_TRAILING, /* white space at the end */
  LLM_STAGE_SENTINEL, /* Chameleon's own */
  LLM_STAGE_IMAGE,
  LLM_STAGE_INDENT,
} LlmStageKind;

typedef enum { LLM_LEAD_NONE, LLM_LEAD_BLANK, LLM_LEAD_WHITE_SPACE } LlmLead;

typedef struct {
  LlmStageKind kind;
  const LlmWordRule *rule; /* words */
  LlmRunSet set;           /* runs */
  guint min, max;          /* characters of a run; max 0: any number */
  LlmLead lead;            /* may stand before a run */
  guint digits;            /* groups: the classes that are digits */
  gboolean whole_words;    /* groups: only where no letter follows the digits */
} LlmStage;

struct _LlmPretokenizer {
  LlmStage stages[LLM_PRETOKENIZER_MAX_STAGES];
};

G_END_DECLS
