/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What changes logits before any are cut.
 */
#include <math.h>
#include <string.h>

#include "engine/sampler-private.h"

static void
apply_penalties (LlmSampler *self, float *logits)
{
  const LlmSamplingParams *p = &self->params;

  for (guint i = 0; i < self->n_window; i++)
    {
      gint32 token = self->window[i];
      guint count = 0;
      gboolean first = TRUE;

      for (guint j = 0; j < self->n_window; j++)
        if (self->window[j] == token)
          {
            count++;
            first = first && j >= i;
          }
      if (!first || (guint) token >= self->n_vocab)
        continue;
      logits[token] = (float) (logits[token] > 0 ? logits[token] / p->repetition_penalty : logits[token] * p->repetition_penalty);
      logits[token] -= (float) (p->frequency_penalty * count + p->presence_penalty);
    }
}

/* length[i]: how many tokens before text[i] are those at the end of the text, up to a breaker; the Z function (Gusfield 1997) of
 * the text read backwards, so linear. */
static void
repetitions (const LlmSampler *self, guint *length)
{
  const gint32 *text = self->text;
  guint n = self->n_text, limit = 0, left = 0, right = 0;

  while (limit < n && ((guint) text[n - 1 - limit] >= self->n_vocab || !self->breaks[text[n - 1 - limit]]))
    limit++;
  for (guint i = 1; i < n; i++) /* the suffix that ends i tokens before the end */
    {
      guint z = i < right ? MIN (right - i, length[n - (i - left)]) : 0;

      while (i + z < n && text[n - 1 - z] == text[n - 1 - i - z])
        z++;
      if (i + z > right)
        {
          left = i;
          right = i + z;
        }
      length[n - i] = z;
    }
  for (guint i = 1; i < n; i++)
    length[i] = MIN (length[i], limit);
}

/* A token that stands after several repetitions pays for the longest. */
static void
apply_dry (LlmSampler *self, float *logits)
{
  const LlmSamplingParams *p = &self->params;
  guint length[LLM_MAX_DRY_WINDOW + 1];

  repetitions (self, length);
  for (guint i = 1; i < self->n_text; i++)
    {
      gint32 token = self->text[i];
      gboolean longest = length[i] >= p->dry_allowed_length && (guint) token < self->n_vocab;

      for (guint j = 1; j < self->n_text && longest; j++)
        longest = self->text[j] != token || length[j] < length[i] || (length[j] == length[i] && j >= i);
      if (longest)
        logits[token] -= (float) MIN (p->dry_multiplier * pow (p->dry_base, length[i] - p->dry_allowed_length), LLM_MAX_DRY_PENALTY);
    }
}

static void
apply_bias (LlmSampler *self, float *logits)
{
  for (guint i = 0; self->params.logit_bias != NULL && i < self->params.logit_bias->len; i++)
    {
      const LlmLogitBias *bias = &g_array_index (self->params.logit_bias, LlmLogitBias, i);

      if ((guint) bias->token < self->n_vocab)
        logits[bias->token] += bias->bias;
    }
}

const float *
llm_sampler_adjust (LlmSampler *self, const float *logits)
{
  const LlmSamplingParams *p = &self->params;
  gboolean penalties = self->n_window > 0 && (p->repetition_penalty != 1 || p->frequency_penalty != 0 || p->presence_penalty != 0);

  if (!penalties && p->logit_bias == NULL && p->dry_multiplier <= 0)
    return logits;
  memcpy (self->adjusted, logits, self->n_vocab * sizeof (float));
  if (penalties)
    apply_penalties (self, self->adjusted);
  if (p->dry_multiplier > 0)
    apply_dry (self, self->adjusted);
  apply_bias (self, self->adjusted);
  return self->adjusted;
}
