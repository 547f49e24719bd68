/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which tiles a product is fastest with depends on the device, the element type and the shape: they are measured when a model is first loaded, and
 * an artifact afterwards.  Every output is summed up by one thread in the same order whatever the tiles, so results do not change by a bit.
 */
#include <string.h>

#include "compute/vulkan/vk.h"

const guint8 llm_vk_tiles[LLM_VK_N_TILES] = { TILE_DEFAULT, 64, 32, 8 };

G_STATIC_ASSERT (GROUP % 64 == 0 && GROUP % TILE_DEFAULT == 0);

#define BUDGET_US 1500000         /* then what is left keeps the usual tiles */
#define SOFTWARE_BUDGET_US 300000 /* of a driver that runs on the CPU, for tests */
#define WORTH 0.95        /* of the usual tiles' time: less is noise */

/* One product; native byte order: an artifact is of one machine. */
typedef struct {
  guint32 kind, dtype, n_cols, n_rows;
  guint8 tile[LLM_VK_N_SIZES];
  guint8 zero[2];
} Row;

typedef struct {
  const LlmPlan *plan;
  guint rows[LLM_VK_N_SIZES]; /* of the runs that are measured */
  LlmVkMeasure measure;
  gpointer data;
  gboolean is_software;
  GArray *shapes;             /* Row: those of the plan, in its order */
  GArray *ops;                /* guint: the first op of each */
} Tuning;

static Row
shape_of (const LlmPlan *plan, const LlmOp *op)
{
  const LlmWeight *w = llm_plan_weight_at (plan, op->w);

  return (Row) { op->kind, w->dtype->id, (guint32) w->n_cols, (guint32) w->n_rows, { 0 }, { 0 } };
}

static gint
find_shape (const Row *rows, guint n, const Row *shape)
{
  for (guint i = 0; i < n; i++)
    if (memcmp (&rows[i], shape, G_STRUCT_OFFSET (Row, tile)) == 0)
      return (gint) i;
  return -1;
}

static void
list_shapes (Tuning *t)
{
  for (guint i = 0; i < llm_plan_n_ops (t->plan); i++)
    {
      const LlmOp *op = llm_plan_op (t->plan, i);
      Row shape;

      if (!llm_vk_op_is_product (op))
        continue;
      shape = shape_of (t->plan, op);
      if (find_shape ((const Row *) (gpointer) t->shapes->data, t->shapes->len, &shape) >= 0)
        continue;
      g_array_append_val (t->shapes, shape);
      g_array_append_val (t->ops, i);
    }
}

/* The fastest for one shape and size of run that was found until @end; 0 where nothing is clearly faster. */
static guint8
fastest (const Tuning *t, guint op, guint n_rows, gint64 end)
{
  double usual = t->measure (t->data, op, 0, n_rows), best = usual * WORTH;
  guint8 tile = 0;

  for (guint8 i = 1; i < LLM_VK_N_TILES && usual > 0 && g_get_monotonic_time () < end; i++)
    {
      double ns = t->measure (t->data, op, i, n_rows);

      if (ns > 0 && ns < best)
        {
          best = ns;
          tile = i;
        }
    }
  return tile;
}

static GBytes *
make (gpointer user_data, GError **error)
{
  const Tuning *t = user_data;
  gint64 end = g_get_monotonic_time () + (t->is_software ? SOFTWARE_BUDGET_US : BUDGET_US);

  for (guint i = 0; i < t->shapes->len; i++)
    for (guint s = 0; s < LLM_VK_N_SIZES && g_get_monotonic_time () < end; s++)
      g_array_index (t->shapes, Row, i).tile[s] = fastest (t, g_array_index (t->ops, guint, i), t->rows[s], end);
  return g_bytes_new (t->shapes->data, t->shapes->len * sizeof (Row));
}

static gboolean
check (gconstpointer payload, gsize size, gpointer user_data)
{
  const Tuning *t = user_data;
  const Row *rows = payload;

  if (size != t->shapes->len * sizeof (Row))
    return FALSE;
  for (guint i = 0; i < t->shapes->len; i++)
    {
      if (find_shape (&rows[i], 1, &g_array_index (t->shapes, Row, i)) != 0)
        return FALSE;
      for (guint s = 0; s < LLM_VK_N_SIZES; s++)
        if (rows[i].tile[s] >= LLM_VK_N_TILES)
          return FALSE;
    }
  return TRUE;
}

static const LlmCacheKind kind = { "shader-tuning", 1, make, check };

/* What was measured, for every op that has such a shape. */
static void
spread (const LlmPlan *plan, const Row *rows, guint n, LlmVkTuning *tuning)
{
  for (guint i = 0; i < llm_plan_n_ops (plan); i++)
    {
      const LlmOp *op = llm_plan_op (plan, i);
      Row shape;
      gint at;

      if (!llm_vk_op_is_product (op))
        continue;
      shape = shape_of (plan, op);
      at = find_shape (rows, n, &shape);
      if (at >= 0)
        memcpy (tuning[i].tile, rows[at].tile, sizeof tuning[i].tile);
    }
}

LlmVkTuning *
llm_vk_tune (LlmVkDevice *device, const LlmPlan *plan, guint max_rows, LlmVkMeasure measure, gpointer data)
{
  LlmVkTuning *tuning = g_new0 (LlmVkTuning, MAX (llm_plan_n_ops (plan), 1));
  Tuning t = { plan, { 1, MIN (max_rows, 32) }, measure, data, device->parent.info.type == LLM_DEVICE_SOFTWARE, g_array_new (FALSE, TRUE, sizeof (Row)), g_array_new (FALSE, FALSE, sizeof (guint)) };

  if (device->parent.cache != NULL)
    {
      g_autoptr (LlmCacheKey) key = llm_cache_kind_key (&kind, device->parent.cache_folder);
      g_autoptr (LlmArtifact) artifact = NULL;

      list_shapes (&t);
      llm_cache_key_add_hash (key, "shapes", t.shapes->data, t.shapes->len * sizeof (Row));
      llm_cache_key_add_uint (key, "many", t.rows[LLM_VK_MANY]);
      artifact = llm_cache_get (device->parent.cache, &kind, key, &t, NULL);
      if (artifact != NULL)
        {
          gsize size;
          const Row *rows = llm_artifact_data (artifact, &size);

          spread (plan, rows, (guint) (size / sizeof (Row)), tuning);
        }
    }
  g_array_unref (t.shapes);
  g_array_unref (t.ops);
  return tuning;
}
