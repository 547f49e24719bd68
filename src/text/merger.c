/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A heap entry goes stale when one of its symbols has merged meanwhile: its length tells. */
#include "text/merger.h"

typedef struct {
  double urgency;
  gint32 left, right;
  guint32 len; /* of both together, when it was pushed */
  gint32 id;
} Candidate;

void
llm_merger_init (LlmMerger *self)
{
  self->symbols = g_array_new (FALSE, FALSE, sizeof (LlmSymbol));
  self->heap = g_array_new (FALSE, FALSE, sizeof (Candidate));
}

void
llm_merger_clear (LlmMerger *self)
{
  g_array_unref (self->symbols);
  g_array_unref (self->heap);
}

void
llm_merger_reset (LlmMerger *self)
{
  g_array_set_size (self->symbols, 0);
}

void
llm_merger_add (LlmMerger *self, const char *start, guint32 len, gint32 id)
{
  gint32 i = (gint32) self->symbols->len;
  LlmSymbol symbol = { start, len, id, i - 1, -1 };

  if (i > 0)
    g_array_index (self->symbols, LlmSymbol, i - 1).next = i;
  g_array_append_val (self->symbols, symbol);
}

static gboolean
before (const Candidate *a, const Candidate *b)
{
  return a->urgency != b->urgency ? a->urgency > b->urgency : a->left < b->left;
}

static void
push (GArray *heap, Candidate candidate)
{
  guint i = heap->len;
  Candidate *c;

  g_array_append_val (heap, candidate);
  c = (Candidate *) (gpointer) heap->data;
  for (; i > 0 && before (&candidate, &c[(i - 1) / 2]); i = (i - 1) / 2)
    c[i] = c[(i - 1) / 2];
  c[i] = candidate;
}

static Candidate
pop (GArray *heap)
{
  Candidate *c = (Candidate *) (gpointer) heap->data;
  Candidate top = c[0], last = c[heap->len - 1];
  guint n = heap->len - 1, i = 0;

  for (;;)
    {
      guint child = 2 * i + 1;

      if (child + 1 < n && before (&c[child + 1], &c[child]))
        child++;
      if (child >= n || !before (&c[child], &last))
        break;
      c[i] = c[child];
      i = child;
    }
  if (n > 0)
    c[i] = last;
  g_array_set_size (heap, n);
  return top;
}

static void
consider (LlmMerger *self, LlmMergeFunc merge, gconstpointer vocab, gint32 left, gint32 right)
{
  LlmSymbol *s = (LlmSymbol *) (gpointer) self->symbols->data;
  Candidate candidate = { .left = left, .right = right };

  if (left < 0 || right < 0 || !merge (vocab, &s[left], &s[right], &candidate.id, &candidate.urgency))
    return;
  candidate.len = s[left].len + s[right].len;
  push (self->heap, candidate);
}

void
llm_merger_run (LlmMerger *self, LlmMergeFunc merge, gconstpointer vocab)
{
  LlmSymbol *s = (LlmSymbol *) (gpointer) self->symbols->data;

  g_array_set_size (self->heap, 0);
  for (gint32 i = 1; i < (gint32) self->symbols->len; i++)
    consider (self, merge, vocab, i - 1, i);
  while (self->heap->len > 0)
    {
      Candidate c = pop (self->heap);
      LlmSymbol *left = &s[c.left], *right = &s[c.right];

      if (left->len == 0 || right->len == 0 || left->len + right->len != c.len)
        continue;
      left->len = c.len;
      left->id = c.id;
      left->next = right->next;
      if (right->next >= 0)
        s[right->next].prev = c.left;
      right->len = 0;
      consider (self, merge, vocab, left->prev, c.left);
      consider (self, merge, vocab, c.left, left->next);
    }
}
