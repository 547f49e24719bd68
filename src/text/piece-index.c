/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See piece-index.h. */
#include "text/piece-index.h"

#include <string.h>
#include <sys/auxv.h>

guint64
llm_hash_seed (void)
{
  const void *random = (const void *) getauxval (AT_RANDOM);
  guint64 seed = 0x9E3779B97F4A7C15u;

  if (random != NULL)
    memcpy (&seed, random, sizeof seed);
  return seed | 1;
}

/* Multiply and fold, eight bytes at a time. */
static guint64
mix (guint64 a, guint64 b)
{
  __uint128_t product = (__uint128_t) a * b;
  return (guint64) product ^ (guint64) (product >> 64);
}

static guint64
hash_bytes (const LlmPieceIndex *self, const char *bytes, gsize len)
{
  guint64 h = self->seed ^ len, word;

  for (; len >= 8; bytes += 8, len -= 8)
    {
      memcpy (&word, bytes, 8);
      h = mix (h ^ word, 0xA0761D6478BD642Fu);
    }
  word = 0;
  memcpy (&word, bytes, len);
  return mix (h ^ word, 0xE7037ED1A0B428DBu);
}

gboolean
llm_piece_index_init (LlmPieceIndex *self, const char *arena, const guint32 *offsets, guint32 n)
{
  gsize size = 16;

  while (size < (gsize) n + n / 2)
    size *= 2;
  self->arena = arena;
  self->offsets = offsets;
  self->slots = g_try_new0 (guint64, size);
  self->seed = llm_hash_seed ();
  self->mask = (guint32) (size - 1);
  self->max_len = 0;
  return self->slots != NULL;
}

void
llm_piece_index_clear (LlmPieceIndex *self)
{
  g_clear_pointer (&self->slots, g_free);
}

/* The slot that holds @bytes, or the free one where it would go. */
static guint32
find_slot (const LlmPieceIndex *self, const char *bytes, gsize len, guint64 hash)
{
  guint32 high = (guint32) (hash >> 32);
  guint32 at = (guint32) hash & self->mask;

  for (; self->slots[at] != 0; at = (at + 1) & self->mask)
    {
      guint32 id = (guint32) self->slots[at] - 1;

      if ((guint32) (self->slots[at] >> 32) == high
          && self->offsets[id + 1] - self->offsets[id] == len
          && memcmp (self->arena + self->offsets[id], bytes, len) == 0)
        break;
    }
  return at;
}

void
llm_piece_index_add (LlmPieceIndex *self, gint32 id)
{
  const char *bytes = self->arena + self->offsets[id];
  guint32 len = self->offsets[id + 1] - self->offsets[id];
  guint64 hash;
  guint32 at;

  if (len == 0)
    return;
  hash = hash_bytes (self, bytes, len);
  at = find_slot (self, bytes, len, hash);
  if (self->slots[at] != 0)
    return;
  self->slots[at] = hash >> 32 << 32 | (guint32) (id + 1);
  self->max_len = MAX (self->max_len, len);
}

gint32
llm_piece_index_find (const LlmPieceIndex *self, const char *bytes, gsize len)
{
  guint32 at;

  if (len == 0 || len > self->max_len)
    return -1;
  at = find_slot (self, bytes, len, hash_bytes (self, bytes, len));
  return (gint32) (guint32) self->slots[at] - 1;
}
