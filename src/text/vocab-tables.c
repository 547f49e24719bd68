/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See vocab-tables.h.  A header with all that is no table, then the tables in the order of list_tables(), each aligned to 64 bytes. */
#include "text/vocab-tables.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "text/vocab-private.h"

#define ALIGN 64
#define N_TABLES 14
#define ALIGNED(n_) (((n_) + ALIGN - 1) & ~(guint64) (ALIGN - 1))

typedef struct {
  guint32 n, kind;
  guint32 has; /* a bit for each of the tables */
  guint32 merges_mask, index_mask, index_max_len;
  guint32 n_control, n_user, n_pieces;
  guint32 first[3][257];
  guint32 flags;
  gint32 bos, eos, unk, sep;
  gint32 byte_token[256];
  guint32 zero;
  guint64 seed, n_arena, n_units, n_replacements;
  double unknown_score;
  char pre[64]; /* "" = none */
} Header;

G_STATIC_ASSERT (sizeof (Header) % 8 == 0);

typedef struct {
  gpointer *table;
  guint64 size;
  gboolean wanted; /* there must be one */
} Table;

/* Where the tables of @self are and how long; from its counts, whether the tables are there or not. */
static void
list_tables (LlmVocab *self, const Header *h, Table tables[N_TABLES])
{
  gboolean bpe = self->kind == LLM_VOCAB_BPE, scored = self->kind == LLM_VOCAB_SPM || self->kind == LLM_VOCAB_UGM;
  guint64 n = self->n;
  const Table all[N_TABLES] = {
    { (gpointer *) &self->arena, MAX (h->n_arena, 1), TRUE },
    { (gpointer *) &self->offsets, (n + 1) * sizeof *self->offsets, TRUE },
    { (gpointer *) &self->types, n, TRUE },
    { (gpointer *) &self->eog, n, TRUE },
    { (gpointer *) &self->scores, n * sizeof *self->scores, scored },
    { (gpointer *) &self->merges, ((guint64) h->merges_mask + 1) * sizeof *self->merges, bpe },
    { (gpointer *) &self->strip, n, FALSE },
    { (gpointer *) &self->index.slots, ((guint64) h->index_mask + 1) * sizeof *self->index.slots, TRUE },
    { (gpointer *) &self->pairs.bits, LLM_CHAR_PAIRS_BITS / 8, self->kind == LLM_VOCAB_SPM || self->spm_spaces },
    { (gpointer *) &self->control.ids, h->n_control * sizeof (gint32), h->n_control > 0 },
    { (gpointer *) &self->user.ids, h->n_user * sizeof (gint32), h->n_user > 0 },
    { (gpointer *) &self->pieces.ids, h->n_pieces * sizeof (gint32), h->n_pieces > 0 },
    { (gpointer *) &self->charsmap.units, h->n_units * sizeof (guint32), h->n_units > 0 },
    { (gpointer *) &self->charsmap.replacements, h->n_replacements, h->n_replacements > 0 },
  };

  memcpy (tables, all, sizeof all);
}

/* ---- flags ---- */

#define FLAGS(X) \
  X (ignore_merges) X (spm_spaces) X (add_bos) X (add_eos) X (add_sep) X (add_space_prefix) X (lowercase) X (strip_accents) X (merge_spaces) X (clean_spaces)

static guint32
pack_flags (const LlmVocab *self)
{
  guint32 flags = 0, bit = 1;

#define PACK(name_)        \
  flags |= self->name_ ? bit : 0; \
  bit <<= 1;
  FLAGS (PACK)
  return flags;
}

static void
unpack_flags (LlmVocab *self, guint32 flags)
{
#define UNPACK(name_)               \
  self->name_ = (flags & 1) != 0; \
  flags >>= 1;
  FLAGS (UNPACK)
}

/* ---- saving ---- */

static const char *
name_of_pre (const LlmPretokenizer *pre)
{
  const LlmPretokenizerInfo *info;

  for (guint i = 0; pre != NULL && (info = llm_pretokenizer_nth (i)) != NULL; i++)
    if (info->pre == pre)
      return info->name;
  return "";
}

static void
fill_header (const LlmVocab *self, Header *h)
{
  const LlmPrefixSet *sets[] = { &self->control, &self->user, &self->pieces };

  memset (h, 0, sizeof *h);
  h->n = self->n;
  h->kind = self->kind;
  h->merges_mask = self->merges_mask;
  h->index_mask = self->index.mask;
  h->index_max_len = self->index.max_len;
  h->n_control = self->control.n_ids;
  h->n_user = self->user.n_ids;
  h->n_pieces = self->pieces.n_ids;
  for (guint s = 0; s < 3; s++)
    memcpy (h->first[s], sets[s]->first, sizeof h->first[s]);
  h->flags = pack_flags (self);
  h->bos = self->bos;
  h->eos = self->eos;
  h->unk = self->unk;
  h->sep = self->sep;
  memcpy (h->byte_token, self->byte_token, sizeof h->byte_token);
  h->seed = self->index.seed;
  h->n_arena = self->offsets[self->n];
  h->n_units = self->charsmap.n_units;
  h->n_replacements = self->charsmap.n_replacements;
  h->unknown_score = self->unknown_score;
  g_strlcpy (h->pre, name_of_pre (self->pre), sizeof h->pre);
}

GBytes *
llm_vocab_tables_save (const LlmVocab *vocab)
{
  Table tables[N_TABLES];
  Header header;
  guint64 size = ALIGNED (sizeof header), at = size;
  guint8 *data;

  fill_header (vocab, &header);
  list_tables ((LlmVocab *) vocab, &header, tables);
  for (guint i = 0; i < N_TABLES; i++)
    if (*tables[i].table != NULL && tables[i].size > 0)
      {
        header.has |= 1u << i;
        size += ALIGNED (tables[i].size);
      }
  data = g_try_malloc0 (size);
  if (data == NULL)
    return NULL;
  memcpy (data, &header, sizeof header);
  for (guint i = 0; i < N_TABLES; i++)
    if ((header.has >> i & 1) != 0)
      {
        memcpy (data + at, *tables[i].table, tables[i].size);
        at += ALIGNED (tables[i].size);
      }
  return g_bytes_new_take (data, size);
}

/* ---- looking ---- */

/* Sizes fit, and the tables of @self point into @data. */
static gboolean
place_tables (LlmVocab *self, const Header *h, const guint8 *data, gsize size)
{
  Table tables[N_TABLES];
  guint64 at = ALIGNED (sizeof *h);

  list_tables (self, h, tables);
  for (guint i = 0; i < N_TABLES; i++)
    {
      gboolean has = (h->has >> i & 1) != 0;

      if ((tables[i].wanted && !has) || (has && (at > size || tables[i].size > size - at)))
        return FALSE;
      *tables[i].table = has ? (gpointer) (data + at) : NULL;
      at += has ? ALIGNED (tables[i].size) : 0;
    }
  return at == size;
}

static gboolean
is_id (gint32 id, guint32 n)
{
  return id >= LLM_TOKEN_NONE && id < (gint32) n;
}

static gboolean
is_mask (guint32 mask)
{
  return (mask & (mask + 1)) == 0 && mask < G_MAXUINT32;
}

static gboolean
header_is_sound (const Header *h)
{
  gboolean ok = h->n > 0 && h->n <= LLM_MODEL_MAX_VOCAB && h->kind <= LLM_VOCAB_UGM && is_mask (h->merges_mask) && is_mask (h->index_mask)
                && h->n_arena <= G_MAXUINT32 && h->n_control <= h->n && h->n_user <= h->n && h->n_pieces <= h->n
                && h->n_units <= LLM_CHARSMAP_MAX_BYTES && h->n_replacements <= LLM_CHARSMAP_MAX_BYTES + 1 && !isnan (h->unknown_score)
                && memchr (h->pre, '\0', sizeof h->pre) != NULL;

  ok = ok && is_id (h->bos, h->n) && is_id (h->eos, h->n) && is_id (h->unk, h->n) && is_id (h->sep, h->n);
  for (guint b = 0; b < 256 && ok; b++)
    ok = is_id (h->byte_token[b], h->n);
  return ok && (h->kind == LLM_VOCAB_BPE) == (h->pre[0] != '\0') && (h->pre[0] == '\0' || llm_pretokenizer_find (h->pre, strlen (h->pre)) != NULL);
}

static gboolean
tokens_are_sound (const LlmVocab *self, const Header *h)
{
  gboolean ok = self->offsets[0] == 0 && self->offsets[self->n] == h->n_arena;

  for (guint i = 0; i < self->n; i++)
    ok &= self->offsets[i] <= self->offsets[i + 1] && self->offsets[i + 1] - self->offsets[i] <= LLM_TOKEN_MAX_BYTES;
  for (guint i = 0; i < self->n; i++)
    ok &= self->types[i] >= LLM_TOKEN_NORMAL && self->types[i] <= LLM_TOKEN_RAW;
  for (guint i = 0; self->scores != NULL && i < self->n; i++)
    ok &= !isnan (self->scores[i]);
  return ok;
}

/* A search ends at a free slot: there has to be one. */
static gboolean
hashes_are_sound (const LlmVocab *self, const Header *h)
{
  guint64 n_free = 0;
  gboolean ok = TRUE;

  for (guint64 i = 0; i <= h->index_mask; i++)
    {
      n_free += self->index.slots[i] == 0;
      ok &= (guint32) self->index.slots[i] <= self->n;
    }
  ok &= n_free > 0;
  n_free = 0;
  for (guint64 i = 0; self->merges != NULL && i <= h->merges_mask; i++)
    {
      n_free += self->merges[i].pair == 0;
      ok &= self->merges[i].id >= 0 && (guint32) self->merges[i].id < self->n;
    }
  return ok && (self->merges == NULL || n_free > 0);
}

/* As llm_charsmap_init() leaves them. */
static gboolean
charsmap_is_sound (const LlmCharsmap *map)
{
  gsize run = 0;

  if (map->n_units > 0 && map->n_replacements == 0)
    return FALSE;
  for (gsize i = 0; i < map->n_replacements; i++)
    {
      run = map->replacements[i] != '\0' ? run + 1 : 0;
      if (run > LLM_CHARSMAP_MAX_TEXT)
        return FALSE;
    }
  return run == 0;
}

/* All but the tables. */
static void
read_header (LlmVocab *self, const Header *h)
{
  LlmPrefixSet *sets[] = { &self->control, &self->user, &self->pieces };
  const guint32 counts[] = { h->n_control, h->n_user, h->n_pieces };

  self->n = h->n;
  self->kind = (LlmVocabKind) h->kind;
  self->merges_mask = h->merges_mask;
  self->index.seed = h->seed;
  self->index.mask = h->index_mask;
  self->index.max_len = h->index_max_len;
  for (guint s = 0; s < 3; s++)
    {
      sets[s]->n_ids = counts[s];
      memcpy (sets[s]->first, h->first[s], sizeof h->first[s]);
    }
  unpack_flags (self, h->flags);
  self->bos = h->bos;
  self->eos = h->eos;
  self->unk = h->unk;
  self->sep = h->sep;
  memcpy (self->byte_token, h->byte_token, sizeof h->byte_token);
  self->charsmap.n_units = h->n_units;
  self->charsmap.n_replacements = h->n_replacements;
  self->unknown_score = h->unknown_score;
  self->pre = h->pre[0] != '\0' ? llm_pretokenizer_find (h->pre, strlen (h->pre))->pre : NULL;
}

/* FALSE: sizes do not fit. */
static gboolean
open_tables (LlmVocab *self, gconstpointer data, gsize size)
{
  const Header *h = data;

  if (size < sizeof *h || !header_is_sound (h))
    return FALSE;
  read_header (self, h);
  if (!place_tables (self, h, data, size))
    return FALSE;
  self->index.arena = self->control.arena = self->user.arena = self->pieces.arena = self->arena;
  self->index.offsets = self->control.offsets = self->user.offsets = self->pieces.offsets = self->offsets;
  return TRUE;
}

gboolean
llm_vocab_tables_are_sound (gconstpointer data, gsize size)
{
  LlmVocab self = { 0 };

  return open_tables (&self, data, size) && tokens_are_sound (&self, data) && hashes_are_sound (&self, data)
         && llm_prefix_set_is_sound (&self.control, self.n) && llm_prefix_set_is_sound (&self.user, self.n)
         && llm_prefix_set_is_sound (&self.pieces, self.n) && charsmap_is_sound (&self.charsmap);
}

LlmVocab *
llm_vocab_tables_open (gconstpointer data, gsize size, gpointer lender, GDestroyNotify lender_free)
{
  LlmVocab *self = g_new0 (LlmVocab, 1);

  g_atomic_ref_count_init (&self->refs);
  if (!open_tables (self, data, size))
    g_assert_not_reached (); /* they were to be sound */
  self->lender = lender;
  self->lender_free = lender_free;
  return self;
}
