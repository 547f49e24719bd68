/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page pool: who holds what, what is found again, and by whom; at last many random
 * operations against a model that is a plain list.
 */
#include "engine/kv.h"

#include <string.h>

static void
test_exhaustion (void)
{
  g_autoptr (LlmKvPool) pool = llm_kv_pool_new (4, 2);
  guint32 page;
  guint seen = 0;

  g_assert_cmpuint (llm_kv_pool_n_pages (pool), ==, 4);
  for (guint i = 0; i < 4; i++)
    {
      g_assert_cmpuint (llm_kv_pool_n_free (pool), ==, 4 - i);
      g_assert_true (llm_kv_pool_take (pool, &page));
      seen |= 1u << page;
    }
  g_assert_cmphex (seen, ==, 0xf);
  page = 77;
  g_assert_false (llm_kv_pool_take (pool, &page));
  g_assert_cmpuint (page, ==, 77);
  llm_kv_pool_release (pool, 2);
  g_assert_true (llm_kv_pool_take (pool, &page));
  g_assert_cmpuint (page, ==, 2);
}

static void
test_sharing (void)
{
  g_autoptr (LlmKvPool) pool = llm_kv_pool_new (4, 2);
  gint32 one[] = { 1, 2 }, two[] = { 3, 4 };
  guint32 a, b, page = 77;
  guint64 first, second, serial = 99;

  g_assert_true (llm_kv_pool_take (pool, &a) && llm_kv_pool_take (pool, &b));
  first = llm_kv_pool_publish (pool, a, 1000, 0, one);
  second = llm_kv_pool_publish (pool, b, 1000, first, two);
  g_assert_cmpuint (first, !=, 0);
  g_assert_cmpuint (second, !=, first);

  g_assert_false (llm_kv_pool_find (pool, 1001, 0, one, &page, &serial)); /* another user's */
  g_assert_false (llm_kv_pool_find (pool, 1000, 0, two, &page, &serial)); /* not at the beginning */
  g_assert_false (llm_kv_pool_find (pool, 1000, second, one, &page, &serial));
  g_assert_cmpuint (page, ==, 77);
  g_assert_cmpuint (serial, ==, 99);

  g_assert_true (llm_kv_pool_is_own (pool, a));
  g_assert_true (llm_kv_pool_find (pool, 1000, 0, one, &page, &serial));
  g_assert_cmpuint (page, ==, a);
  g_assert_cmpuint (serial, ==, first);
  g_assert_false (llm_kv_pool_is_own (pool, a));
  llm_kv_pool_release (pool, a);
  g_assert_true (llm_kv_pool_is_own (pool, a));
  g_assert_cmpuint (llm_kv_pool_n_free (pool), ==, 2);
}

/* Free pages keep their contents; the one that was free the longest goes first. */
static void
test_eviction (void)
{
  g_autoptr (LlmKvPool) pool = llm_kv_pool_new (3, 1);
  gint32 tokens[] = { 10, 11, 12 };
  guint32 pages[3], page;
  guint64 serial;

  for (guint i = 0; i < 3; i++)
    {
      g_assert_true (llm_kv_pool_take (pool, &pages[i]));
      llm_kv_pool_publish (pool, pages[i], 5, 0, &tokens[i]);
    }
  llm_kv_pool_release (pool, pages[1]);
  llm_kv_pool_release (pool, pages[0]);
  llm_kv_pool_release (pool, pages[2]);
  g_assert_cmpuint (llm_kv_pool_n_free (pool), ==, 3);
  g_assert_true (llm_kv_pool_find (pool, 5, 0, &tokens[1], &page, &serial)); /* used again: young */
  llm_kv_pool_release (pool, page);
  g_assert_true (llm_kv_pool_take (pool, &page));
  g_assert_cmpuint (page, ==, pages[0]);
  g_assert_false (llm_kv_pool_find (pool, 5, 0, &tokens[0], &page, &serial));
  g_assert_true (llm_kv_pool_find (pool, 5, 0, &tokens[1], &page, &serial));
  g_assert_true (llm_kv_pool_find (pool, 5, 0, &tokens[2], &page, &serial));
  g_assert_false (llm_kv_pool_take (pool, &page));
}

/* Two that compute the same page: one is remembered, both go on under its serial. */
static void
test_same_contents (void)
{
  g_autoptr (LlmKvPool) pool = llm_kv_pool_new (2, 1);
  gint32 token = 3;
  guint32 a, b, page;
  guint64 serial;

  g_assert_true (llm_kv_pool_take (pool, &a) && llm_kv_pool_take (pool, &b));
  serial = llm_kv_pool_publish (pool, a, 1, 0, &token);
  g_assert_cmpuint (llm_kv_pool_publish (pool, b, 1, 0, &token), ==, serial);
  g_assert_cmpuint (llm_kv_pool_publish (pool, b, 2, 0, &token), !=, serial); /* the same page for another user is another */
  llm_kv_pool_release (pool, a);
  g_assert_true (llm_kv_pool_find (pool, 1, 0, &token, &page, &serial));
  g_assert_cmpuint (page, ==, a);
}

/* ---- against a plain list ---- */

#define PAGES 12

typedef struct {
  guint holders;
  gboolean known;
  guint32 uid;
  guint64 parent, serial;
  gint32 tokens[2];
} Slot;

static gint
model_find (const Slot *slots, guint32 uid, guint64 parent, const gint32 *tokens)
{
  for (gint i = 0; i < PAGES; i++)
    if (slots[i].known && slots[i].uid == uid && slots[i].parent == parent && memcmp (slots[i].tokens, tokens, sizeof slots[i].tokens) == 0)
      return i;
  return -1;
}

static void
random_publish (LlmKvPool *pool, Slot *slots, GRand *rand, guint32 page)
{
  Slot *slot = &slots[page];
  gint other;

  if (slot->holders == 0 || slot->known)
    return;
  slot->uid = (guint32) g_rand_int_range (rand, 0, 2);
  slot->parent = (guint64) g_rand_int_range (rand, 0, 4);
  slot->tokens[0] = g_rand_int_range (rand, 0, 2);
  slot->tokens[1] = g_rand_int_range (rand, -1, 1);
  other = model_find (slots, slot->uid, slot->parent, slot->tokens);
  slot->serial = llm_kv_pool_publish (pool, page, slot->uid, slot->parent, slot->tokens);
  slot->known = other < 0;
  if (other >= 0)
    g_assert_cmpuint (slot->serial, ==, slots[other].serial);
}

static void
random_find (LlmKvPool *pool, Slot *slots, GRand *rand)
{
  guint32 uid = (guint32) g_rand_int_range (rand, 0, 2), page = 0;
  guint64 parent = (guint64) g_rand_int_range (rand, 0, 4), serial = 0;
  gint32 tokens[2] = { g_rand_int_range (rand, 0, 2), g_rand_int_range (rand, -1, 1) };
  gint want = model_find (slots, uid, parent, tokens);

  g_assert_cmpint (llm_kv_pool_find (pool, uid, parent, tokens, &page, &serial), ==, want >= 0);
  if (want < 0)
    return;
  g_assert_cmpuint (page, ==, (guint) want);
  g_assert_cmpuint (serial, ==, slots[want].serial);
  slots[want].holders++;
}

static void
test_random (void)
{
  g_autoptr (LlmKvPool) pool = llm_kv_pool_new (PAGES, 2);
  g_autoptr (GRand) rand = g_rand_new_with_seed (4711);
  Slot slots[PAGES] = { 0 };

  for (guint step = 0; step < 50000; step++)
    {
      guint32 page = (guint32) g_rand_int_range (rand, 0, PAGES);
      guint n_free = 0;

      switch (g_rand_int_range (rand, 0, 5))
        {
        case 0:
          if (llm_kv_pool_take (pool, &page))
            {
              g_assert_cmpuint (slots[page].holders, ==, 0);
              slots[page] = (Slot) { .holders = 1 };
            }
          break;
        case 1:
          random_publish (pool, slots, rand, page);
          break;
        case 2:
          random_find (pool, slots, rand);
          break;
        default:
          if (slots[page].holders > 0)
            {
              llm_kv_pool_release (pool, page);
              slots[page].holders--;
            }
        }
      for (guint i = 0; i < PAGES; i++)
        {
          n_free += slots[i].holders == 0;
          g_assert_cmpint (llm_kv_pool_is_own (pool, i), ==, slots[i].holders == 1);
        }
      g_assert_cmpuint (llm_kv_pool_n_free (pool), ==, n_free);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kv/exhaustion", test_exhaustion);
  g_test_add_func ("/kv/sharing", test_sharing);
  g_test_add_func ("/kv/eviction", test_eviction);
  g_test_add_func ("/kv/same-contents", test_same_contents);
  g_test_add_func ("/kv/random", test_random);
  return g_test_run ();
}
