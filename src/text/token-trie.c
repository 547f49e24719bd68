/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See token-trie.h.  Layout: header, nodes, same. */
#include "text/token-trie.h"

#include <string.h>

#include "base/limits.h"
#include "text/vocab-private.h"

#define MAX_NODES (1u << 24)
#define SIZE(node_) ((node_) & (MAX_NODES - 1))

typedef struct {
  guint32 n_nodes, n_same, n_tokens, zero;
} Header;

/* ---- making ---- */

static gint
compare_bytes (gconstpointer a, gconstpointer b, gpointer data)
{
  LlmStr x = llm_vocab_bytes (data, *(const gint32 *) a), y = llm_vocab_bytes (data, *(const gint32 *) b);
  int order = memcmp (x.bytes, y.bytes, MIN (x.len, y.len));

  if (order != 0)
    return order;
  if (x.len != y.len)
    return x.len < y.len ? -1 : 1;
  return *(const gint32 *) a < *(const gint32 *) b ? -1 : 1;
}

static GArray *
sorted_tokens (const LlmVocab *vocab)
{
  GArray *ids = g_array_sized_new (FALSE, FALSE, sizeof (gint32), vocab->n);

  for (gint32 i = 0; i < (gint32) vocab->n; i++)
    if (vocab->types[i] != LLM_TOKEN_CONTROL && vocab->types[i] != LLM_TOKEN_UNKNOWN && llm_vocab_bytes (vocab, i).len > 0)
      g_array_append_val (ids, i);
  g_array_sort_with_data (ids, compare_bytes, (gpointer) vocab);
  return ids;
}

/* The branch that is being built: a node for every byte of the last token. */
typedef struct {
  GArray *nodes;                       /* guint32, two to a node */
  guint32 open[LLM_TOKEN_MAX_BYTES + 1]; /* [depth + 1] */
  gsize depth;
} Making;

static void
add_node (Making *m, guint8 byte)
{
  const guint32 node[2] = { (guint32) byte << 24, 0 };

  m->open[m->depth] = m->nodes->len / 2;
  g_array_append_vals (m->nodes, node, 2);
}

/* Nodes deeper than @depth have all their branches now. */
static void
close_to (Making *m, gsize depth)
{
  for (;; m->depth--)
    {
      guint32 at = m->open[m->depth];

      g_array_index (m->nodes, guint32, 2 * at) = (g_array_index (m->nodes, guint32, 2 * at) & ~(MAX_NODES - 1)) | ((m->nodes->len / 2 - at) & (MAX_NODES - 1));
      if (m->depth == depth)
        return;
    }
}

static gsize
common (LlmStr a, LlmStr b)
{
  gsize n = 0;

  while (n < MIN (a.len, b.len) && a.bytes[n] == b.bytes[n])
    n++;
  return n;
}

static gint
by_lowest (gconstpointer a, gconstpointer b)
{
  const guint32 *x = a, *y = b;

  if (x[1] != y[1])
    return x[1] < y[1] ? -1 : 1;
  return x[0] < y[0] ? -1 : x[0] > y[0];
}

GBytes *
llm_token_trie_make (const LlmVocab *vocab, GError **error)
{
  g_autoptr (GArray) ids = sorted_tokens (vocab), nodes = g_array_new (FALSE, FALSE, sizeof (guint32)), same = g_array_new (FALSE, FALSE, 2 * sizeof (guint32));
  g_autofree Making *m = g_new0 (Making, 1);
  LlmStr last = { "", 0 };
  GByteArray *out = g_byte_array_new ();
  Header header = { .n_tokens = vocab->n };

  m->nodes = nodes;
  add_node (m, 0);
  for (guint i = 0; i < ids->len; i++)
    {
      gint32 id = g_array_index (ids, gint32, i);
      LlmStr bytes = llm_vocab_bytes (vocab, id);
      gsize shared = common (last, bytes);
      guint32 *token;

      close_to (m, shared);
      while (m->depth < bytes.len)
        {
          m->depth++;
          add_node (m, (guint8) bytes.bytes[m->depth - 1]);
        }
      token = &g_array_index (nodes, guint32, 2 * m->open[m->depth] + 1);
      if (*token == 0)
        *token = (guint32) id + 1;
      else
        {
          const guint32 pair[2] = { (guint32) id, *token - 1 };

          g_array_append_val (same, pair);
        }
      last = bytes;
      if (nodes->len / 2 >= MAX_NODES)
        {
          g_byte_array_unref (out);
          g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "the tokens of the vocabulary branch into %u nodes or more", MAX_NODES);
          return NULL;
        }
    }
  close_to (m, 0);
  g_array_sort (same, by_lowest);
  header.n_nodes = nodes->len / 2;
  header.n_same = same->len;
  g_byte_array_append (out, (const guint8 *) &header, sizeof header);
  g_byte_array_append (out, (const guint8 *) nodes->data, nodes->len * sizeof (guint32));
  g_byte_array_append (out, (const guint8 *) same->data, same->len * 2 * sizeof (guint32));
  return g_byte_array_free_to_bytes (out);
}

/* ---- walking ---- */

gboolean
llm_token_trie_open (LlmTokenTrie *self, gconstpointer data, gsize size, guint n_tokens)
{
  const Header *header = data;

  if (size < sizeof *header || header->n_nodes == 0 || header->n_nodes >= MAX_NODES || header->n_tokens != n_tokens || header->n_same > n_tokens
      || size != sizeof *header + ((gsize) header->n_nodes + header->n_same) * 2 * sizeof (guint32))
    return FALSE;
  self->nodes = (const guint32 *) (header + 1);
  self->n_nodes = header->n_nodes;
  self->n_tokens = n_tokens;
  self->same = self->nodes + 2 * (gsize) header->n_nodes;
  self->n_same = header->n_same;
  return TRUE;
}

/* One past the branch of @node. */
static guint32
end_of (const LlmTokenTrie *self, guint32 node)
{
  return node + MIN (SIZE (self->nodes[2 * (gsize) node]), self->n_nodes - node);
}

guint32
llm_token_trie_first (const LlmTokenTrie *self, guint32 node)
{
  return node + 1 < end_of (self, node) ? node + 1 : 0;
}

guint32
llm_token_trie_next (const LlmTokenTrie *self, guint32 parent, guint32 child)
{
  guint32 next = MAX (end_of (self, child), child + 1);

  return next < end_of (self, parent) ? next : 0;
}

guint8
llm_token_trie_byte (const LlmTokenTrie *self, guint32 node)
{
  return (guint8) (self->nodes[2 * (gsize) node] >> 24);
}

gint32
llm_token_trie_token (const LlmTokenTrie *self, guint32 node)
{
  guint32 token = self->nodes[2 * (gsize) node + 1];

  return token <= self->n_tokens ? (gint32) token - 1 : LLM_TOKEN_NONE;
}

guint32
llm_token_trie_child (const LlmTokenTrie *self, guint32 node, guint8 byte)
{
  for (guint32 child = llm_token_trie_first (self, node); child != 0; child = llm_token_trie_next (self, node, child))
    if (llm_token_trie_byte (self, child) == byte)
      return child;
  return 0;
}

guint32
llm_token_trie_same (const LlmTokenTrie *self, gint32 token, guint32 *n)
{
  guint32 lo = 0, hi = self->n_same, end;

  while (lo < hi)
    {
      guint32 mid = lo + (hi - lo) / 2;

      if (self->same[2 * (gsize) mid + 1] < (guint32) token)
        lo = mid + 1;
      else
        hi = mid;
    }
  for (end = lo; end < self->n_same && self->same[2 * (gsize) end + 1] == (guint32) token; end++)
    ;
  *n = end - lo;
  return lo;
}
