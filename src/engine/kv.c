/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/kv.h"

#include <string.h>

typedef struct {
  guint32 uid;
  guint64 parent;
  guint n_tokens;
  gint32 *tokens; /* [n_tokens] */
} Contents;

typedef struct {
  guint holders;
  guint64 serial;     /* 0: not remembered */
  Contents contents;  /* while it is remembered */
  gint32 prev, next;  /* in the list of pages nobody holds, or -1 */
} Page;

struct _LlmKvPool {
  guint n_pages, page_tokens, n_free;
  Page *pages;
  gint32 *tokens;     /* of all pages */
  gint32 first, last; /* the list: taken from the front; remembered pages join at the back */
  guint64 last_serial;
  GHashTable *known;  /* Contents (of a page) -> page index + 1 */
};

static guint
contents_hash (gconstpointer key)
{
  const Contents *c = key;
  guint64 h = (c->parent + 1) * 0x9E3779B97F4A7C15u ^ c->uid;

  for (guint i = 0; i < c->n_tokens; i++)
    h = (h ^ (guint32) c->tokens[i]) * 0x100000001B3u;
  return (guint) (h ^ h >> 32);
}

static gboolean
contents_equal (gconstpointer a, gconstpointer b)
{
  const Contents *x = a, *y = b;

  return x->uid == y->uid && x->parent == y->parent && memcmp (x->tokens, y->tokens, x->n_tokens * sizeof (gint32)) == 0;
}

/* ---- the list of pages nobody holds ---- */

static void
list_remove (LlmKvPool *self, guint32 page)
{
  Page *p = &self->pages[page];

  if (p->prev >= 0)
    self->pages[p->prev].next = p->next;
  else
    self->first = p->next;
  if (p->next >= 0)
    self->pages[p->next].prev = p->prev;
  else
    self->last = p->prev;
  self->n_free--;
}

static void
list_add (LlmKvPool *self, guint32 page, gboolean at_front)
{
  Page *p = &self->pages[page];

  p->prev = at_front ? -1 : self->last;
  p->next = at_front ? self->first : -1;
  if (p->prev >= 0)
    self->pages[p->prev].next = (gint32) page;
  else
    self->first = (gint32) page;
  if (p->next >= 0)
    self->pages[p->next].prev = (gint32) page;
  else
    self->last = (gint32) page;
  self->n_free++;
}

LlmKvPool *
llm_kv_pool_new (guint n_pages, guint page_tokens)
{
  LlmKvPool *self = g_new0 (LlmKvPool, 1);

  self->n_pages = n_pages;
  self->page_tokens = page_tokens;
  self->pages = g_new0 (Page, n_pages);
  self->tokens = g_new0 (gint32, (gsize) n_pages * page_tokens);
  self->known = g_hash_table_new (contents_hash, contents_equal);
  self->first = self->last = -1;
  for (guint i = 0; i < n_pages; i++)
    {
      self->pages[i].contents.n_tokens = page_tokens;
      self->pages[i].contents.tokens = self->tokens + (gsize) i * page_tokens;
      list_add (self, i, FALSE);
    }
  return self;
}

void
llm_kv_pool_free (LlmKvPool *self)
{
  g_hash_table_unref (self->known);
  g_free (self->pages);
  g_free (self->tokens);
  g_free (self);
}

guint
llm_kv_pool_n_pages (const LlmKvPool *self)
{
  return self->n_pages;
}

guint
llm_kv_pool_n_free (const LlmKvPool *self)
{
  return self->n_free;
}

gboolean
llm_kv_pool_take (LlmKvPool *self, guint32 *page)
{
  Page *p;

  if (self->first < 0)
    return FALSE;
  *page = (guint32) self->first;
  p = &self->pages[*page];
  list_remove (self, *page);
  if (p->serial != 0)
    g_hash_table_remove (self->known, &p->contents);
  p->serial = 0;
  p->holders = 1;
  return TRUE;
}

void
llm_kv_pool_release (LlmKvPool *self, guint32 page)
{
  Page *p = &self->pages[page];

  g_assert (p->holders > 0);
  if (--p->holders == 0)
    list_add (self, page, p->serial == 0);
}

gboolean
llm_kv_pool_is_own (const LlmKvPool *self, guint32 page)
{
  return self->pages[page].holders == 1;
}

guint64
llm_kv_pool_publish (LlmKvPool *self, guint32 page, guint32 uid, guint64 parent, const gint32 *tokens)
{
  Page *p = &self->pages[page];
  guint known;

  g_assert (p->holders > 0 && p->serial == 0);
  p->contents.uid = uid;
  p->contents.parent = parent;
  memcpy (p->contents.tokens, tokens, self->page_tokens * sizeof (gint32));
  known = GPOINTER_TO_UINT (g_hash_table_lookup (self->known, &p->contents));
  if (known > 0)
    return self->pages[known - 1].serial;
  p->serial = ++self->last_serial;
  g_hash_table_insert (self->known, &p->contents, GUINT_TO_POINTER (page + 1));
  return p->serial;
}

gboolean
llm_kv_pool_find (LlmKvPool *self, guint32 uid, guint64 parent, const gint32 *tokens, guint32 *page, guint64 *serial)
{
  Contents wanted = { uid, parent, self->page_tokens, (gint32 *) tokens };
  guint known = GPOINTER_TO_UINT (g_hash_table_lookup (self->known, &wanted));
  Page *p;

  if (known == 0)
    return FALSE;
  *page = known - 1;
  p = &self->pages[*page];
  if (p->holders++ == 0)
    list_remove (self, *page);
  *serial = p->serial;
  return TRUE;
}
