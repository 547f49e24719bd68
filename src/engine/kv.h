/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page pool of one model's KV cache: who holds which page, and which full pages may be
 * used again (PagedAttention, Kwon et al. 2023).
 *
 * A full page is known by (uid, the page before it, its tokens) and may be shared by all
 * sequences of that uid that begin alike; never across uids.  A page nobody holds keeps its
 * contents until somebody needs it, oldest first.  Engine thread only.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _LlmKvPool LlmKvPool;

LlmKvPool *llm_kv_pool_new (guint n_pages, guint page_tokens);
void llm_kv_pool_free (LlmKvPool *self);

guint llm_kv_pool_n_pages (const LlmKvPool *self);
/* Pages that nobody holds; those that are remembered count. */
guint llm_kv_pool_n_free (const LlmKvPool *self);

/* A page for the caller, contents undefined. FALSE: none is free. */
gboolean llm_kv_pool_take (LlmKvPool *self, guint32 *page);
void llm_kv_pool_release (LlmKvPool *self, guint32 page);
/* Whether releasing it once would leave it free. */
gboolean llm_kv_pool_is_own (const LlmKvPool *self, guint32 page);

/* @page is full now: remember it under (@uid, @parent, @tokens [page_tokens]). @parent: the serial
 * of the page before, 0 at the beginning. Returns its serial (that of an equal page, when there is one). */
guint64 llm_kv_pool_publish (LlmKvPool *self, guint32 page, guint32 uid, guint64 parent, const gint32 *tokens);
/* The page with these contents, held for the caller. */
gboolean llm_kv_pool_find (LlmKvPool *self, guint32 uid, guint64 parent, const gint32 *tokens, guint32 *page, guint64 *serial);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmKvPool, llm_kv_pool_free)

G_END_DECLS
