/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read stays, whatever becomes of its name; what nobody reads goes, whenever we are killed. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "store/store-fixture.h"

static const char *const abc[] = { "a", "b", "c", NULL };

static void
test_deleted (Fixture *f, gconstpointer data)
{
  LlmStoreModel *model = add_parts (f, "m:1", abc);
  g_autofree char *digest = g_strdup (((LlmStoreBlob *) model->blobs->pdata[1])->digest);
  g_autoptr (LlmStoreModel) hold = llm_store_model_ref (model);
  LlmStoreLease *first = llm_store_lease (f->store, model), *second = llm_store_lease (f->store, model);

  g_assert_true (llm_store_delete (f->store, "m:1", NULL));
  g_assert_null (llm_store_find (f->store, "m:1"));
  g_assert_cmpuint (count_files (f, "blobs"), ==, 3);
  g_assert_true (llm_store_model_is_whole (hold));
  g_assert_true (llm_store_holds_blob (f->store, digest));
  llm_store_lease_free (first);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 3);
  llm_store_lease_free (second);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 0);
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
  g_assert_false (llm_store_holds_blob (f->store, digest));
}

static void
test_replaced (Fixture *f, gconstpointer data)
{
  LlmStoreLease *lease;

  add (f, "m:1", "old");
  lease = llm_store_lease (f->store, llm_store_find (f->store, "m:1"));
  add (f, "m:1", "new");
  g_assert_cmpuint (count_files (f, "blobs"), ==, 2);
  llm_store_lease_free (lease);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
  g_assert_true (llm_store_model_is_whole (llm_store_find (f->store, "m:1")));
}

/* The same bytes come again under another name while the old ones are leased and nameless. */
static void
test_named_again (Fixture *f, gconstpointer data)
{
  LlmStoreLease *lease;

  add (f, "m:1", "same");
  lease = llm_store_lease (f->store, llm_store_find (f->store, "m:1"));
  g_assert_true (llm_store_delete (f->store, "m:1", NULL));
  add (f, "n:1", "same");
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0); /* no mark: the next start would remove it */
  llm_store_lease_free (lease);
  g_assert_true (llm_store_model_is_whole (llm_store_find (f->store, "n:1")));
  fixture_reopen (f);
  g_assert_true (llm_store_model_is_whole (llm_store_find (f->store, "n:1")));
}

/* An import of leased bytes that is given up leaves them and their mark. */
static void
test_discarded (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) blobs = NULL;
  LlmStoreLease *lease;

  add (f, "m:1", "same");
  lease = llm_store_lease (f->store, llm_store_find (f->store, "m:1"));
  g_assert_true (llm_store_delete (f->store, "m:1", NULL));
  blobs = ingest (f, file_with ("same"), NULL, NULL);
  llm_store_discard (f->store, blobs);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
  g_assert_cmpuint (count_files (f, "tmp"), ==, 1);
  llm_store_lease_free (lease);
  g_assert_cmpuint (count_files (f, "blobs") + count_files (f, "tmp"), ==, 0);
}

/* Killed while leased and nameless: its mark makes the next start remove it. */
static void
test_killed (Fixture *f, gconstpointer data)
{
  static LlmStoreLease *volatile lost; /* with the process that had it */

  add (f, "m:1", "old");
  lost = llm_store_lease (f->store, llm_store_find (f->store, "m:1"));
  g_assert_nonnull (lost);
  add (f, "m:1", "new");
  g_assert_cmpuint (count_files (f, "blobs"), ==, 2);
  fixture_reopen (f);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
  g_assert_true (llm_store_model_is_whole (llm_store_find (f->store, "m:1")));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("lease-deleted", test_deleted);
  ADD ("lease-replaced", test_replaced);
  ADD ("lease-named-again", test_named_again);
  ADD ("lease-discarded", test_discarded);
  ADD ("lease-killed", test_killed);
  return g_test_run ();
}
