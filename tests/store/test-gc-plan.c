/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The plan of the garbage collection: named cases, and what must hold for any input, tried on random ones.
 * LLM_TEST_LONG=1: more of them.
 */
#include <math.h>
#include <string.h>

#include "store/engine-version.h"
#include "store/gc-plan.h"

#define DAY (24 * 3600)
#define NOW (G_GINT64_CONSTANT (1700000000))

static LlmGcEntry *
entry_new (LlmGcKind kind, const char *folder, const char *name, guint64 bytes, gint64 age)
{
  LlmGcEntry *entry = g_new0 (LlmGcEntry, 1);

  entry->kind = kind;
  entry->folder = g_strdup (folder);
  entry->path = folder != NULL ? g_strdup_printf ("%s/cpu/%s", folder, name) : g_strdup (name);
  entry->bytes = bytes;
  entry->used = NOW - age;
  entry->saves = 1000;
  return entry;
}

static GPtrArray *
entries_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) llm_gc_entry_free);
}

static LlmGcEntry *
add (GPtrArray *entries, LlmGcKind kind, const char *folder, const char *name, guint64 bytes, gint64 age)
{
  LlmGcEntry *entry = entry_new (kind, folder, name, bytes, age);

  g_ptr_array_add (entries, entry);
  return entry;
}

static int
compare_lines (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* "path reason" of each deletion, sorted. */
static char *
text_of (const GArray *plan)
{
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < plan->len; i++)
    {
      const LlmGcDeletion *d = &g_array_index (plan, LlmGcDeletion, i);
      g_ptr_array_add (lines, g_strdup_printf ("%s %s", d->entry->path, llm_gc_reason_name (d->reason)));
    }
  g_ptr_array_sort (lines, compare_lines);
  g_ptr_array_add (lines, NULL);
  return g_strjoinv ("; ", (char **) lines->pdata);
}

static void
expect (const GPtrArray *entries, const LlmGcWorld *world, const char *text)
{
  g_autoptr (GArray) plan = llm_gc_plan (entries, world);
  g_autofree char *got = text_of (plan);

  g_assert_cmpstr (got, ==, text);
}

static const LlmGcWorld usual = { "v2.0-cc", NOW, G_MAXUINT64, { 0, 90 * DAY, 1, 0, DAY } };

/* ---- named cases ---- */

static void
test_versions (void)
{
  g_autoptr (GPtrArray) entries = entries_new ();
  LlmGcWorld world = usual;

  expect (entries, &world, "");
  add (entries, LLM_GC_ARTIFACT, "v1.9-aa", "a", 10, 5);
  add (entries, LLM_GC_ARTIFACT, "v1.10-aa", "a", 10, 50);
  add (entries, LLM_GC_ARTIFACT, "v2.0-bb", "a", 10, 5000); /* another build of this version, used last before that one: */
  add (entries, LLM_GC_ARTIFACT, "v2.0-dd", "a", 10, 100);
  add (entries, LLM_GC_ARTIFACT, "v2.0-cc", "a", 10, 99999);
  add (entries, LLM_GC_DRIVERS, "v2.0-bb", "mesa", 10, 99999);
  add (entries, LLM_GC_ARTIFACT, "v2.1-ee", "a", 10, 89 * DAY); /* newer */
  add (entries, LLM_GC_ARTIFACT, "v10-ff", "a", 10, 91 * DAY);  /* newer, but not used any more */
  expect (entries, &world, "v1.10-aa/cpu/a old-version; v1.9-aa/cpu/a old-version; v10-ff/cpu/a over-age; v2.0-bb/cpu/a old-version; "
                           "v2.0-bb/cpu/mesa old-version; v2.0-dd/cpu/a old-version");
  world.limits.keep_versions = 2;
  expect (entries, &world, "v1.10-aa/cpu/a old-version; v1.9-aa/cpu/a old-version; v10-ff/cpu/a over-age; v2.0-bb/cpu/a old-version; v2.0-bb/cpu/mesa old-version");
  world.limits.keep_versions = 4;
  expect (entries, &world, "v1.9-aa/cpu/a old-version; v10-ff/cpu/a over-age");
  world.limits.keep_versions = 5;
  expect (entries, &world, "v10-ff/cpu/a over-age");
  world.limits.artifact_age = 0;
  expect (entries, &world, "");
  world.current = "v1.5-zz"; /* an older engine has come back: the others are newer, whoever ran last */
  world.limits.keep_versions = 1;
  expect (entries, &world, "");
}

static void
test_limit (void)
{
  g_autoptr (GPtrArray) entries = entries_new ();
  LlmGcWorld world = usual;
  LlmGcEntry *dear;

  add (entries, LLM_GC_ARTIFACT, "v2.0-cc", "large", 100, 10);
  add (entries, LLM_GC_ARTIFACT, "v2.0-cc", "small", 10, 10);
  add (entries, LLM_GC_ARTIFACT, "v2.0-cc", "small-old", 10, 30 * DAY);
  dear = add (entries, LLM_GC_ARTIFACT, "v2.0-cc", "dear", 100, 10);
  dear->saves = 1e9;
  add (entries, LLM_GC_BLOB, NULL, "sha256-x", 1000000, 10); /* weights do not count */
  world.limits.artifact_bytes = 220;
  expect (entries, &world, "");
  world.limits.artifact_bytes = 219;
  expect (entries, &world, "v2.0-cc/cpu/small-old over-limit");
  world.limits.artifact_bytes = 200;
  expect (entries, &world, "v2.0-cc/cpu/large over-limit; v2.0-cc/cpu/small-old over-limit");
  world.limits.artifact_bytes = 1;
  expect (entries, &world, "v2.0-cc/cpu/dear over-limit; v2.0-cc/cpu/large over-limit; v2.0-cc/cpu/small over-limit; v2.0-cc/cpu/small-old over-limit");
  dear->held = TRUE;
  expect (entries, &world, "v2.0-cc/cpu/large over-limit; v2.0-cc/cpu/small over-limit; v2.0-cc/cpu/small-old over-limit");
}

static void
test_disk (void)
{
  g_autoptr (GPtrArray) entries = entries_new ();
  LlmGcWorld world = usual;

  add (entries, LLM_GC_ARTIFACT, "v1.0-aa", "old", 100, 10);
  add (entries, LLM_GC_ARTIFACT, "v2.0-cc", "large", 100, 10);
  add (entries, LLM_GC_ARTIFACT, "v2.0-cc", "small", 10, 10);
  world.limits.minimum_free = 1000;
  world.free_bytes = 1000;
  expect (entries, &world, "v1.0-aa/cpu/old old-version");
  world.free_bytes = 900; /* the old one is enough */
  expect (entries, &world, "v1.0-aa/cpu/old old-version");
  world.free_bytes = 899;
  expect (entries, &world, "v1.0-aa/cpu/old old-version; v2.0-cc/cpu/large low-disk");
  world.free_bytes = 0;
  expect (entries, &world, "v1.0-aa/cpu/old old-version; v2.0-cc/cpu/large low-disk; v2.0-cc/cpu/small low-disk");
}

static void
test_grace (void)
{
  g_autoptr (GPtrArray) entries = entries_new ();
  LlmGcWorld world = usual;

  add (entries, LLM_GC_BLOB, NULL, "sha256-young", 10, DAY);
  add (entries, LLM_GC_BLOB, NULL, "sha256-old", 10, DAY + 1);
  add (entries, LLM_GC_BLOB, NULL, "sha256-named", 10, 1000 * DAY)->held = TRUE;
  add (entries, LLM_GC_TEMPORARY, "v2.0-cc", "tmp-1", 10, DAY);
  add (entries, LLM_GC_TEMPORARY, "v2.0-cc", "tmp-2", 10, DAY + 1);
  add (entries, LLM_GC_TEMPORARY, "v1.0-cc", "tmp-3", 10, DAY + 1);
  add (entries, LLM_GC_TEMPORARY, "v1.0-cc", "tmp-4", 10, DAY + 1)->held = TRUE;
  expect (entries, &world, "sha256-old unreferenced; v1.0-cc/cpu/tmp-3 orphan; v2.0-cc/cpu/tmp-2 orphan");
  world.now -= 10 * DAY; /* the clock was set back: everything is young */
  expect (entries, &world, "");
}

/* ---- anything ---- */

static const char *const folders[] = { "v1.0-aa", "v1.2-aa", "v1.2-ab", "v1.10-aa", "v2.0~rc1-aa", "v2.0-aa", "v2.0-bb", "v2.0-cc", "v2.1-aa", "v3-aa" };

static guint64
random_bytes (GRand *r)
{
  switch (g_rand_int_range (r, 0, 8))
    {
    case 0:
      return 0;
    case 1:
      return (1ull << 58) - (guint64) g_rand_int_range (r, 0, 2); /* 40 of them fit */
    default:
      return (guint64) g_rand_int_range (r, 1, 1 << g_rand_int_range (r, 1, 24));
    }
}

static GPtrArray *
random_entries (GRand *r)
{
  GPtrArray *entries = entries_new ();
  int n = g_rand_int_range (r, 0, 40), n_folders = g_rand_int_range (r, 1, (int) G_N_ELEMENTS (folders) + 1);

  for (int i = 0; i < n; i++)
    {
      LlmGcKind kind = (LlmGcKind) g_rand_int_range (r, 0, 4);
      g_autofree char *name = g_strdup_printf ("%s%d", kind == LLM_GC_BLOB ? "sha256-" : "f-", i);
      LlmGcEntry *entry = add (entries, kind, kind == LLM_GC_BLOB ? NULL : folders[g_rand_int_range (r, 0, n_folders)], name, random_bytes (r),
                               (gint64) g_rand_int_range (r, -100, 1 << g_rand_int_range (r, 7, 25)));

      entry->saves = g_rand_int_range (r, 0, 4) == 0 ? 1000 : g_rand_double_range (r, 0, 1e8);
      entry->held = g_rand_int_range (r, 0, 6) == 0;
    }
  return entries;
}

static LlmGcWorld
random_world (GRand *r)
{
  LlmGcWorld world = usual;

  world.current = folders[g_rand_int_range (r, 0, (int) G_N_ELEMENTS (folders))];
  world.free_bytes = g_rand_boolean (r) ? G_MAXUINT64 : random_bytes (r);
  world.limits.artifact_bytes = g_rand_boolean (r) ? 0 : random_bytes (r);
  world.limits.artifact_age = g_rand_boolean (r) ? 0 : g_rand_int_range (r, 1, 100 * DAY);
  world.limits.keep_versions = (guint) g_rand_int_range (r, 1, 5);
  world.limits.minimum_free = g_rand_boolean (r) ? 0 : random_bytes (r);
  world.limits.grace = g_rand_boolean (r) ? 0 : g_rand_int_range (r, 1, 100 * DAY);
  return world;
}

static gboolean
is_artifact (const LlmGcEntry *entry)
{
  return entry->kind == LLM_GC_ARTIFACT || entry->kind == LLM_GC_DRIVERS;
}

static guint64
plus (guint64 a, guint64 b)
{
  return a > G_MAXUINT64 - b ? G_MAXUINT64 : a + b;
}

static double
worth_of (const LlmGcEntry *entry)
{
  return MAX (1, entry->saves) / (double) entry->bytes * exp2 (-(double) MAX (0, NOW - entry->used) / (7.0 * DAY));
}

static int
order_to_current (const LlmGcEntry *entry, const LlmGcWorld *world)
{
  g_autofree char *mine = llm_engine_version_of (entry->folder), *current = llm_engine_version_of (world->current);

  return llm_engine_version_compare (mine, current);
}

static void
check_deletion (const LlmGcDeletion *d, const LlmGcWorld *world)
{
  gint64 age = MAX (0, NOW - d->entry->used);

  g_assert_false (d->entry->held);
  switch (d->reason)
    {
    case LLM_GC_UNREFERENCED:
      g_assert_cmpint (d->entry->kind, ==, LLM_GC_BLOB);
      g_assert_cmpint (age, >, world->limits.grace);
      break;
    case LLM_GC_ORPHAN:
      g_assert_cmpint (d->entry->kind, ==, LLM_GC_TEMPORARY);
      g_assert_cmpint (age, >, world->limits.grace);
      break;
    case LLM_GC_OLD_VERSION:
      g_assert_true (is_artifact (d->entry));
      g_assert_cmpstr (d->entry->folder, !=, world->current);
      g_assert_cmpint (order_to_current (d->entry, world), <=, 0);
      break;
    case LLM_GC_OVER_AGE:
      g_assert_true (is_artifact (d->entry));
      g_assert_cmpint (world->limits.artifact_age, >, 0);
      g_assert_cmpint (age, >, world->limits.artifact_age);
      break;
    case LLM_GC_OVER_LIMIT:
      g_assert_true (is_artifact (d->entry));
      g_assert_cmpuint (world->limits.artifact_bytes, >, 0);
      break;
    case LLM_GC_LOW_DISK:
      g_assert_true (is_artifact (d->entry));
      g_assert_cmpuint (world->free_bytes, <, world->limits.minimum_free);
      break;
    }
}

/* Those that go because others are worth more are worth no more than any that stays; and the last of them had to go. */
static void
check_worth (const GArray *plan, const GPtrArray *left, LlmGcReason reason, guint64 kept, const LlmGcWorld *world)
{
  double best = -1;

  for (guint i = 0; i < plan->len; i++)
    {
      const LlmGcDeletion *d = &g_array_index (plan, LlmGcDeletion, i);

      if (d->reason != reason)
        continue;
      best = MAX (best, worth_of (d->entry));
    }
  for (guint i = 0; i < left->len && best >= 0; i++)
    {
      const LlmGcEntry *entry = left->pdata[i];

      if (is_artifact (entry) && !entry->held && entry->bytes > 0)
        g_assert_cmpfloat (worth_of (entry), >=, best);
    }
  if (best >= 0 && reason == LLM_GC_OVER_LIMIT && kept < G_MAXINT64 / 2 && world->free_bytes >= world->limits.minimum_free)
    {
      const LlmGcEntry *last = NULL;

      for (guint i = 0; i < plan->len; i++)
        if (g_array_index (plan, LlmGcDeletion, i).reason == reason)
          last = g_array_index (plan, LlmGcDeletion, i).entry;
      g_assert_cmpuint (plus (kept, last->bytes), >, world->limits.artifact_bytes);
    }
}

static void
check_kept_versions (const GPtrArray *left, const LlmGcWorld *world)
{
  g_autoptr (GHashTable) kept = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < left->len; i++)
    {
      const LlmGcEntry *entry = left->pdata[i];

      if (is_artifact (entry) && !entry->held && strcmp (entry->folder, world->current) != 0 && order_to_current (entry, world) <= 0)
        g_hash_table_add (kept, entry->folder);
    }
  g_assert_cmpuint (g_hash_table_size (kept), <, world->limits.keep_versions);
}

static void
check_left (const GPtrArray *left, const GArray *plan, const LlmGcWorld *world)
{
  guint64 kept = 0, freed = 0;
  gboolean more = FALSE;

  for (guint i = 0; i < left->len; i++)
    {
      const LlmGcEntry *entry = left->pdata[i];

      kept = is_artifact (entry) ? plus (kept, entry->bytes) : kept;
      more = more || (is_artifact (entry) && !entry->held && entry->bytes > 0);
    }
  for (guint i = 0; i < plan->len; i++)
    {
      const LlmGcEntry *entry = g_array_index (plan, LlmGcDeletion, i).entry;

      freed = entry->kind != LLM_GC_BLOB ? plus (freed, entry->bytes) : freed;
    }
  if (more && world->limits.artifact_bytes > 0)
    g_assert_cmpuint (kept, <=, world->limits.artifact_bytes);
  if (more)
    g_assert_cmpuint (plus (world->free_bytes, freed), >=, world->limits.minimum_free);
  check_kept_versions (left, world);
  check_worth (plan, left, LLM_GC_OVER_LIMIT, kept, world);
  check_worth (plan, left, LLM_GC_LOW_DISK, kept, world);
}

static GPtrArray *
survivors (const GPtrArray *entries, const GArray *plan)
{
  GPtrArray *left = g_ptr_array_new ();
  g_autoptr (GHashTable) gone = g_hash_table_new (NULL, NULL);

  for (guint i = 0; i < plan->len; i++)
    g_assert_true (g_hash_table_add (gone, (gpointer) g_array_index (plan, LlmGcDeletion, i).entry)); /* once */
  for (guint i = 0; i < entries->len; i++)
    if (!g_hash_table_contains (gone, entries->pdata[i]))
      g_ptr_array_add (left, entries->pdata[i]);
  g_assert_cmpuint (left->len + plan->len, ==, entries->len);
  return left;
}

static void
shuffle (GRand *r, GPtrArray *entries)
{
  for (guint i = entries->len; i > 1; i--)
    {
      guint j = (guint) g_rand_int_range (r, 0, (int) i);
      gpointer kept = entries->pdata[i - 1];

      entries->pdata[i - 1] = entries->pdata[j];
      entries->pdata[j] = kept;
    }
}

static gboolean
holds_artifact (const GPtrArray *left)
{
  for (guint i = 0; i < left->len; i++)
    if (is_artifact (left->pdata[i]) && ((LlmGcEntry *) left->pdata[i])->held)
      return TRUE;
  return FALSE;
}

static void
try_one (GRand *r)
{
  g_autoptr (GPtrArray) entries = random_entries (r), left = NULL;
  LlmGcWorld world = random_world (r), after;
  g_autoptr (GArray) plan = llm_gc_plan (entries, &world), again = NULL, shuffled = NULL;
  g_autofree char *text = text_of (plan), *other = NULL;
  guint64 freed = 0;

  left = survivors (entries, plan);
  for (guint i = 0; i < plan->len; i++)
    {
      const LlmGcDeletion *d = &g_array_index (plan, LlmGcDeletion, i);

      check_deletion (d, &world);
      freed = d->entry->kind != LLM_GC_BLOB ? plus (freed, d->entry->bytes) : freed;
    }
  check_left (left, plan, &world);
  after = world;
  after.free_bytes = plus (world.free_bytes, freed);
  again = llm_gc_plan (left, &after);
  if (!holds_artifact (left)) /* else what is left of a folder may count as another one's predecessor now */
    g_assert_cmpuint (again->len, ==, 0);
  shuffle (r, entries);
  shuffled = llm_gc_plan (entries, &world);
  other = text_of (shuffled);
  g_assert_cmpstr (text, ==, other);
}

static void
test_anything (void)
{
  guint n = g_getenv ("LLM_TEST_LONG") != NULL ? 1000000 : 20000;
  guint32 seed = g_test_rand_int ();

  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GRand) r = g_rand_new_with_seed (seed + i);

      try_one (r);
    }
}

/* No limits: nothing goes, whatever there is. */
static void
test_nothing (void)
{
  for (guint i = 0; i < 2000; i++)
    {
      g_autoptr (GRand) r = g_rand_new_with_seed (g_test_rand_int ());
      g_autoptr (GPtrArray) entries = random_entries (r);
      LlmGcWorld world = { "v3-aa", NOW, 0, { 0, 0, 64, 0, G_MAXINT64 } };

      expect (entries, &world, "");
    }
}

/* ---- names ---- */

static void
test_names (void)
{
  static const char *const wrong[] = { "", "v", "v1", "v1-", "1-a", "v-a", "vx-a", "v1-a/b", "v1-..", "v1/2-a", "mesa", "v1.0-a-b", "v1 -a", "..", NULL };
  static const char *const rising[] = { "0.1.0~rc1", "0.1.0~rc2", "0.1.0", "0.1.0.1", "0.1.0a", "0.1.1", "0.2", "0.9.9", "0.10", "1", "1.0", "2", "10", "10.1", NULL };
  g_autofree char *version = llm_engine_version_of ("v1.2~rc1-00ff");

  g_assert_cmpstr (version, ==, "1.2~rc1");
  for (guint i = 0; wrong[i] != NULL; i++)
    g_assert_null (llm_engine_version_of (wrong[i]));
  for (guint i = 0; rising[i] != NULL; i++)
    for (guint j = 0; rising[j] != NULL; j++)
      {
        int order = llm_engine_version_compare (rising[i], rising[j]);

        if ((order < 0) != (i < j) || (order > 0) != (i > j))
          g_error ("%s and %s: %d", rising[i], rising[j], order);
      }
  g_assert_cmpint (llm_engine_version_compare ("1.01", "1.1"), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/gc-plan/names", test_names);
  g_test_add_func ("/gc-plan/versions", test_versions);
  g_test_add_func ("/gc-plan/limit", test_limit);
  g_test_add_func ("/gc-plan/disk", test_disk);
  g_test_add_func ("/gc-plan/grace", test_grace);
  g_test_add_func ("/gc-plan/nothing", test_nothing);
  g_test_add_func ("/gc-plan/anything", test_anything);
  return g_test_run ();
}
