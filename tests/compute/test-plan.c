/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Building, checking, sealing, costing and printing of plans: no device at all.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "compute/ops-fixture.h"

/* kv: 2 layers of 2 heads of 8 and 4 */
static const LlmKvLayout layout = { 2, 2, 8, 4, 32, LLM_DTYPE_F16 };

typedef struct {
  OpsModel *model;
  LlmPlan *plan;
  LlmValueId x16, x8, out16;     /* batch rows of 16 and 8 columns, selected rows of 16 */
  LlmWeightId w, vector, tall;   /* F32 [24, 16], F32 [1, 16], F16 [2, 16] */
} Fixture;

static void
fixture_init (Fixture *f)
{
  f->model = ops_model_new (&layout, 1);
  f->plan = f->model->plan;
  f->x16 = ops_model_input (f->model, 5, 16);
  f->x8 = ops_model_input (f->model, 5, 8);
  f->out16 = llm_plan_select_rows (f->plan, f->x16);
  f->w = ops_model_weight (f->model, LLM_DTYPE_F32, 24, 16);
  f->vector = ops_model_weight (f->model, LLM_DTYPE_F32, 1, 16);
  f->tall = ops_model_weight (f->model, LLM_DTYPE_F16, 2, 16);
}

static const LlmRopeParams rope_fits = { 2, 8, 8, FALSE, 10000, 1 };

/* Each breaks one thing of op 3. */
static void norm_eps (Fixture *f) { llm_plan_rms_norm (f->plan, f->x16, f->vector, 0); }
static void norm_gain (Fixture *f) { llm_plan_rms_norm (f->plan, f->x8, f->vector, 1e-5f); }
static void norm_gain_type (Fixture *f) { llm_plan_rms_norm (f->plan, f->x16, f->tall, 1e-5f); }
static void matmul_columns (Fixture *f) { llm_plan_matmul (f->plan, f->w, f->x8, LLM_NONE, LLM_NONE); }
static void matmul_residual (Fixture *f) { llm_plan_matmul (f->plan, f->w, f->x16, LLM_NONE, f->x16); }
static void matmul_bias (Fixture *f) { llm_plan_matmul (f->plan, f->w, f->x16, f->vector, LLM_NONE); }
static void add_widths (Fixture *f) { llm_plan_add (f->plan, f->x16, f->x8); }
static void glu_rows (Fixture *f) { llm_plan_glu (f->plan, LLM_ACT_SILU, f->x16, f->out16); }
static void select_twice (Fixture *f) { llm_plan_select_rows (f->plan, f->out16); }
static void write_layer (Fixture *f) { llm_plan_kv_write (f->plan, 2, f->x16, f->x8); }
static void write_widths (Fixture *f) { llm_plan_kv_write (f->plan, 1, f->x8, f->x16); }

static void
rope_with (Fixture *f, LlmValueId x, LlmWeightId factors, LlmRopeParams p)
{
  llm_plan_rope (f->plan, x, factors, &p);
}

static void rope_out (Fixture *f) { rope_with (f, f->out16, LLM_NONE, rope_fits); }
static void rope_heads (Fixture *f) { rope_with (f, f->x8, LLM_NONE, rope_fits); }
static void rope_odd (Fixture *f) { rope_with (f, f->x16, LLM_NONE, (LlmRopeParams) { 2, 8, 7, FALSE, 10000, 1 }); }
static void rope_long (Fixture *f) { rope_with (f, f->x16, LLM_NONE, (LlmRopeParams) { 2, 8, 10, FALSE, 10000, 1 }); }
static void rope_base (Fixture *f) { rope_with (f, f->x16, LLM_NONE, (LlmRopeParams) { 2, 8, 8, FALSE, 0, 1 }); }
static void rope_factors (Fixture *f) { rope_with (f, f->x16, f->vector, rope_fits); }

static void
attention_with (Fixture *f, LlmValueId q, LlmAttentionParams p)
{
  llm_plan_attention (f->plan, q, &p);
}

static void attention_layer (Fixture *f) { attention_with (f, f->x16, (LlmAttentionParams) { 2, 2, 1 }); }
static void attention_heads (Fixture *f) { attention_with (f, f->x16, (LlmAttentionParams) { 1, 3, 1 }); }
static void attention_none (Fixture *f) { attention_with (f, f->x16, (LlmAttentionParams) { 1, 0, 1 }); }
static void attention_columns (Fixture *f) { attention_with (f, f->x16, (LlmAttentionParams) { 1, 4, 1 }); }

static void attention_cap (Fixture *f) { attention_with (f, f->x16, (LlmAttentionParams) { 1, 2, 1, 0, -1 }); }

static void
attention_sinks (Fixture *f)
{
  LlmAttentionParams p = { 1, 2, 1 };

  llm_plan_attention_with_sinks (f->plan, f->x16, f->vector, &p);
}

static void embed_scale (Fixture *f) { llm_plan_embed_from (f->plan, f->w, LLM_EMBED_POSITION, (float) INFINITY); }
static void layer_norm_gain (Fixture *f) { llm_plan_layer_norm (f->plan, f->x8, f->vector, LLM_NONE, 1e-5f); }
static void layer_norm_eps (Fixture *f) { llm_plan_layer_norm (f->plan, f->x16, f->vector, LLM_NONE, 0); }
static void layer_norm_bias (Fixture *f) { llm_plan_layer_norm (f->plan, f->x16, f->vector, f->tall, 1e-5f); }
static void glu_alone (Fixture *f) { llm_plan_glu (f->plan, LLM_ACT_SWIGLU_CLAMPED, f->x16, LLM_NONE); }
static void glu_unknown (Fixture *f) { llm_plan_glu (f->plan, LLM_N_ACTS, f->x16, f->x16); }
static void scale_nan (Fixture *f) { llm_plan_scale (f->plan, f->x16, (float) NAN, 0); }
static void scale_cap (Fixture *f) { llm_plan_scale (f->plan, f->x16, 1, -1); }
static void rope_magnitude (Fixture *f) { rope_with (f, f->x16, LLM_NONE, (LlmRopeParams) { 2, 8, 8, FALSE, 10000, 1, -1 }); }
static void rope_yarn (Fixture *f) { rope_with (f, f->x16, LLM_NONE, (LlmRopeParams) { 2, 8, 8, FALSE, 10000, 1, 1, 4096, 1, 32 }); }

static void
route_with (Fixture *f, guint n_used)
{
  LlmRouteParams p = { n_used, TRUE, 1 };

  llm_plan_route (f->plan, f->x16, &p);
}

static void route_none (Fixture *f) { route_with (f, 0); }
static void route_many (Fixture *f) { route_with (f, 17); }

/* x8 passes for a route to 4 of n experts. */
static void
experts_with (Fixture *f, LlmValueId x, LlmWeightId w, LlmWeightId bias, LlmExpertParams p)
{
  llm_plan_expert_matmul (f->plan, w, x, f->x8, bias, &p);
}

static void experts_none (Fixture *f) { experts_with (f, f->x16, f->w, LLM_NONE, (LlmExpertParams) { 3, 4 }); }
static void experts_route (Fixture *f) { experts_with (f, f->x16, f->w, LLM_NONE, (LlmExpertParams) { 6, 3 }); }
static void experts_rows (Fixture *f) { experts_with (f, f->x16, f->w, LLM_NONE, (LlmExpertParams) { 5, 4 }); }
static void experts_columns (Fixture *f) { experts_with (f, f->x8, f->w, LLM_NONE, (LlmExpertParams) { 6, 4 }); }
static void experts_bias (Fixture *f) { experts_with (f, f->x16, f->w, f->vector, (LlmExpertParams) { 6, 4 }); }

static const struct {
  const char *name;
  void (*build) (Fixture *);
  const char *message;
} misfits[] = {
  { "norm-eps", norm_eps, "op 3 (rms-norm): eps is 0; a number above 0 is needed" },
  { "norm-gain", norm_gain, "op 3 (rms-norm): gain test.weight has 16 columns; the 8 of the input are no multiple of it" },
  { "norm-gain-type", norm_gain_type, "op 3 (rms-norm): gain test.weight is F16 [2, 16]; F32 [1, 16] is needed" },
  { "matmul-columns", matmul_columns, "op 3 (matmul): weight test.weight is [24, 16], its input has 8 columns" },
  { "matmul-residual", matmul_residual, "op 3 (matmul): the residual has 16 columns of batch rows, the product of test.weight has 24" },
  { "matmul-bias", matmul_bias, "op 3 (matmul): bias test.weight is F32 [1, 16]; F32 [1, 24] is needed" },
  { "add-widths", add_widths, "op 3 (add): operands have 16 and 8 columns, of batch and batch rows" },
  { "glu-rows", glu_rows, "op 3 (glu): operands have 16 and 16 columns, of batch and out rows" },
  { "select-twice", select_twice, "op 3 (select-rows): the rows have been selected already" },
  { "write-layer", write_layer, "op 3 (kv-write): layer 2 of 2" },
  { "write-widths", write_widths, "op 3 (kv-write): keys have 8 and values 16 columns; the cache has 2 heads of 8 and 4" },
  { "rope-out", rope_out, "op 3 (rope): only batch rows have positions" },
  { "rope-heads", rope_heads, "op 3 (rope): 2 heads of 8 do not make 8 columns" },
  { "rope-odd", rope_odd, "op 3 (rope): dim is 7; an even number up to the head's 8 is needed" },
  { "rope-long", rope_long, "op 3 (rope): dim is 10; an even number up to the head's 8 is needed" },
  { "rope-base", rope_base, "op 3 (rope): base 0, scale 1 and magnitude 1 must be above 0" },
  { "rope-factors", rope_factors, "op 3 (rope): factors test.weight is F32 [1, 16]; F32 [1, 4] is needed" },
  { "attention-layer", attention_layer, "op 3 (attention): layer 2 of 2" },
  { "attention-heads", attention_heads, "op 3 (attention): 3 query heads are no multiple of 2 key heads" },
  { "attention-none", attention_none, "op 3 (attention): 0 query heads are no multiple of 2 key heads" },
  { "attention-columns", attention_columns, "op 3 (attention): queries have 16 columns; 4 heads of 8 are needed" },
  { "attention-cap", attention_cap, "op 3 (attention): scale 1 and cap -1 must be finite, the cap not below 0" },
  { "attention-sinks", attention_sinks, "op 3 (attention): sinks test.weight is F32 [1, 16]; F32 [1, 2] is needed" },
  { "embed-scale", embed_scale, "op 3 (embed): source 1, scale inf; token, position or first, and a finite number are needed" },
  { "layer-norm-gain", layer_norm_gain, "op 3 (layer-norm): gain test.weight is F32 [1, 16]; F32 [1, 8] is needed" },
  { "layer-norm-eps", layer_norm_eps, "op 3 (layer-norm): eps is 0; a number above 0 is needed" },
  { "layer-norm-bias", layer_norm_bias, "op 3 (layer-norm): bias test.weight is F16 [2, 16]; F32 [1, 16] is needed" },
  { "glu-alone", glu_alone, "op 3 (glu): this activation takes two operands" },
  { "glu-unknown", glu_unknown, "op 3 (glu): activation 4 of 4" },
  { "scale-nan", scale_nan, "op 3 (scale): scale nan and cap 0 must be finite, the cap not below 0" },
  { "scale-cap", scale_cap, "op 3 (scale): scale 1 and cap -1 must be finite, the cap not below 0" },
  { "rope-magnitude", rope_magnitude, "op 3 (rope): base 10000, scale 1 and magnitude -1 must be above 0" },
  { "rope-yarn", rope_yarn, "op 3 (rope): YaRN between 32 and 1 turns of base 10000; 0 < slow <= fast and a base above 1 are needed" },
  { "route-none", route_none, "op 3 (route): 0 of 16 experts; 1 to 16 are allowed, of 1024 at most" },
  { "route-many", route_many, "op 3 (route): 17 of 16 experts; 1 to 16 are allowed, of 1024 at most" },
  { "experts-none", experts_none, "op 3 (expert-matmul): 4 of 3 experts; 1024 are allowed" },
  { "experts-route", experts_route, "op 3 (expert-matmul): the route has 8 columns; 6 are needed, of the input's rows" },
  { "experts-rows", experts_rows, "op 3 (expert-matmul): weight test.weight is [24, 16] of 5 experts, its input has 16 columns" },
  { "experts-columns", experts_columns, "op 3 (expert-matmul): weight test.weight is [24, 16] of 6 experts, its input has 8 columns" },
  { "experts-bias", experts_bias, "op 3 (expert-matmul): bias test.weight is F32 [1, 16]; F32 [1, 24] is needed" },
};

/* The first misfit is told by finish(), whatever comes after it. */
static void
test_misfit (gconstpointer data)
{
  guint i = GPOINTER_TO_UINT (data);
  g_autoptr (GError) error = NULL;
  Fixture f;

  fixture_init (&f);
  misfits[i].build (&f);
  g_assert_cmpuint (llm_plan_n_ops (f.plan), ==, 3);
  select_twice (&f);
  g_assert_cmpuint (llm_plan_add (f.plan, f.out16, f.out16), ==, LLM_NONE);
  g_assert_false (llm_plan_finish (f.plan, f.out16, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  g_assert_cmpstr (error->message, ==, misfits[i].message);
  ops_model_free (f.model);
}

static void
test_fits (void)
{
  LlmAttentionParams p = { 1, 2, 1 };
  Fixture f;
  LlmValueId y;

  fixture_init (&f);
  llm_plan_rope (f.plan, f.x16, LLM_NONE, &rope_fits);
  llm_plan_kv_write (f.plan, 1, f.x16, f.x8);
  y = llm_plan_attention (f.plan, f.x16, &p);
  g_assert_cmpuint (llm_plan_value (f.plan, y)->width, ==, 8); /* 2 heads of 4 values */
  y = llm_plan_matmul (f.plan, f.w, f.out16, LLM_NONE, LLM_NONE);
  g_assert_cmpuint (llm_plan_value (f.plan, y)->width, ==, 24);
  g_assert_cmpint (llm_plan_value (f.plan, y)->rows, ==, LLM_ROWS_OUT);
  ops_model_finish (f.model, y);
  g_assert_cmpuint (llm_plan_logits (f.plan), ==, y);
  ops_model_free (f.model);
}

static void
test_logits_of_batch_rows (void)
{
  g_autoptr (GError) error = NULL;
  Fixture f;

  fixture_init (&f);
  g_assert_false (llm_plan_finish (f.plan, f.x16, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  g_clear_error (&error);
  g_assert_false (llm_plan_finish (f.plan, f.out16, &error)); /* the first error stays */
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  ops_model_free (f.model);
}

static void
weight_is_refused (LlmWeight weight)
{
  g_autoptr (OpsModel) model = ops_model_new (NULL, 1);
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (llm_plan_weight (model->plan, &weight), ==, LLM_NONE);
  g_assert_false (llm_plan_finish (model->plan, LLM_NONE, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  g_assert_nonnull (strstr (error->message, "weight blk.0"));
}

static void
test_weights (void)
{
  static const float data[64];
  const LlmDtypeInfo *f32 = llm_dtype_info (LLM_DTYPE_F32), *q8 = llm_dtype_info (LLM_DTYPE_Q8_0);

  weight_is_refused ((LlmWeight) { "blk.0", f32, 16, 4, data, 255 });
  weight_is_refused ((LlmWeight) { "blk.0", f32, 16, 4, data, 257 });
  weight_is_refused ((LlmWeight) { "blk.0", f32, 0, 4, data, 0 });
  weight_is_refused ((LlmWeight) { "blk.0", f32, 16, 0, data, 0 });
  weight_is_refused ((LlmWeight) { "blk.0", q8, 33, 1, data, 35 });
  weight_is_refused ((LlmWeight) { "blk.0", f32, (guint64) G_MAXINT32 + 1, 1, data, 4 * ((guint64) G_MAXINT32 + 1) });
  weight_is_refused ((LlmWeight) { "blk.0", f32, G_MAXUINT64 / 4, 16, data, 256 });
}

static void
test_kv_layouts (void)
{
  static const LlmKvLayout wrong[] = {
    { 0, 1, 8, 8, 32, LLM_DTYPE_F16 }, { 1, 0, 8, 8, 32, LLM_DTYPE_F16 }, { 1, 1, 0, 0, 32, LLM_DTYPE_F16 },
    { 1, 1, 8, 8, 0, LLM_DTYPE_F16 }, { 1, 1, 32, 32, 32, LLM_DTYPE_Q4_0 },
    { 1, 1, LLM_MODEL_MAX_HEAD_DIM + 1, 8, 32, LLM_DTYPE_F16 }, { 1, 1, 8, LLM_MODEL_MAX_HEAD_DIM + 1, 32, LLM_DTYPE_F16 }, { G_MAXUINT, G_MAXUINT, 8, 8, 32, LLM_DTYPE_F16 },
  };
  guint64 bytes;

  g_assert_true (llm_kv_layout_page_bytes (&layout, &bytes));
  g_assert_cmpuint (bytes, ==, 2 * 2 * (8 + 4) * 32 * 2);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_autoptr (LlmPlan) plan = llm_plan_new (&wrong[i]);
      g_autoptr (GError) error = NULL;

      g_assert_false (llm_plan_finish (plan, LLM_NONE, &error));
      g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
      g_assert_true (g_str_has_prefix (error->message, "KV cache:"));
    }
}

/* Whole blocks of 32 in every head, up to the longest heads. */
static void
test_kv_q8_0 (void)
{
  static const LlmKvLayout odd[] = { { 1, 1, 48, 32, 32, LLM_DTYPE_Q8_0 }, { 1, 1, 64, 80, 32, LLM_DTYPE_Q8_0 } };
  LlmKvLayout longest = { 1, 1, LLM_MODEL_MAX_HEAD_DIM, LLM_MODEL_MAX_HEAD_DIM, 32, LLM_DTYPE_Q8_0 };
  g_autoptr (OpsModel) model = ops_model_new (&longest, 1);
  guint64 bytes;

  ops_model_finish (model, ops_model_input (model, 5, 16));
  g_assert_true (llm_kv_layout_page_bytes (&longest, &bytes));
  g_assert_cmpuint (bytes, ==, 2 * LLM_MODEL_MAX_HEAD_DIM / 32 * 34 * 32);
  for (guint i = 0; i < G_N_ELEMENTS (odd); i++)
    {
      g_autoptr (LlmPlan) plan = llm_plan_new (&odd[i]);
      g_autoptr (GError) error = NULL;

      g_assert_false (llm_plan_finish (plan, LLM_NONE, &error));
      g_assert_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED);
      g_assert_nonnull (strstr (error->message, "blocks of 32"));
    }
}

/* Whether op @i is done element by element on @v, which is read for the last time. */
static gboolean
writes_over (const LlmPlan *plan, guint i, LlmValueId v)
{
  for (guint j = i + 1; j < llm_plan_n_ops (plan); j++)
    if (llm_plan_op (plan, j)->x == v || llm_plan_op (plan, j)->z == v)
      return FALSE;
  return (llm_plan_op (plan, i)->kind == LLM_OP_GLU || llm_plan_op (plan, i)->kind == LLM_OP_ADD) && llm_plan_op (plan, i)->x == v;
}

/* No op's output stands where one of its inputs, or a value still to be read, stands; but where x goes element by element. */
static void
test_liveness (void)
{
  g_autoptr (OpsModel) model = ops_model_new (NULL, 1);
  LlmPlan *plan = model->plan;
  LlmValueId x = ops_model_input (model, 5, 16), y;
  guint n_values, batch_buffers = 0, width = 0, n_over = 0;

  for (guint layer = 0; layer < 20; layer++)
    {
      y = llm_plan_matmul (plan, ops_model_weight (model, LLM_DTYPE_F32, 24, 16), x, LLM_NONE, LLM_NONE);
      y = llm_plan_glu (plan, LLM_ACT_SILU, y, y);
      x = llm_plan_matmul (plan, ops_model_weight (model, LLM_DTYPE_F32, 16, 24), y, LLM_NONE, x);
    }
  y = llm_plan_select_rows (plan, x);
  ops_model_finish (model, llm_plan_add (plan, y, y));
  n_values = llm_plan_n_values (plan);
  for (LlmValueId v = 0; v < n_values; v++) /* value v is written by the op that has y = v; all reads come later */
    {
      guint born = LLM_NONE;

      for (guint i = 0; i < llm_plan_n_ops (plan); i++)
        {
          const LlmOp *op = llm_plan_op (plan, i);

          if (op->y == v)
            born = i;
          for (guint j = born; born != LLM_NONE && j < i && (op->x == v || op->z == v) && !(j + 1 == i && writes_over (plan, i, v)); j++) /* alive from born to i */
            g_assert_cmpuint (llm_plan_value (plan, llm_plan_op (plan, j + 1)->y)->buffer, !=, llm_plan_value (plan, v)->buffer);
        }
      g_assert_cmpint (llm_plan_buffer_rows (plan, llm_plan_value (plan, v)->buffer), ==, llm_plan_value (plan, v)->rows);
      g_assert_cmpuint (llm_plan_buffer_width (plan, llm_plan_value (plan, v)->buffer), >=, llm_plan_value (plan, v)->width);
    }
  for (guint b = 0; b < llm_plan_n_buffers (plan); b++)
    if (llm_plan_buffer_rows (plan, b) == LLM_ROWS_BATCH)
      {
        batch_buffers++;
        width += llm_plan_buffer_width (plan, b);
      }
  g_assert_cmpuint (batch_buffers, ==, 3); /* and yet not 61 */
  g_assert_cmpuint (width, ==, 16 + 24 + 16);
  for (guint i = 0; i < llm_plan_n_ops (plan); i++)
    n_over += llm_plan_op (plan, i)->kind == LLM_OP_GLU
              && llm_plan_value (plan, llm_plan_op (plan, i)->x)->buffer == llm_plan_value (plan, llm_plan_op (plan, i)->y)->buffer;
  g_assert_cmpuint (n_over, ==, 20);
}

static void
test_cost (void)
{
  LlmAttentionParams p = { 0, 2, 1 };
  Fixture f;
  LlmOpCost cost;

  fixture_init (&f);
  llm_plan_matmul (f.plan, f.w, f.x16, LLM_NONE, LLM_NONE);
  llm_plan_attention (f.plan, f.x16, &p);
  ops_model_finish (f.model, f.out16);
  cost = llm_plan_op_cost (f.plan, 3, 7, 1, 0);
  g_assert_cmpuint (cost.flops, ==, 2 * 24 * 16 * 7);
  g_assert_cmpuint (cost.bytes, ==, 4 * (24 * 16 + 7 * 16 + 7 * 24)); /* the weight once */
  cost = llm_plan_op_cost (f.plan, 4, 7, 1, 100);
  g_assert_cmpuint (cost.flops, ==, 2 * 2 * (8 + 4) * 100 * 7);
  g_assert_cmpuint (cost.bytes, ==, 4 * 7 * (16 + 8) + 2 * (8 + 4) * 2 * 100 * 7);
  g_assert_cmpuint (llm_plan_op_cost (f.plan, 2, 7, 0, 0).bytes, ==, 4 * 7 * 16); /* nothing selected */
  ops_model_free (f.model);
}

static void
test_print (void)
{
  Fixture f;
  g_autofree char *text = NULL;

  fixture_init (&f);
  ops_model_finish (f.model, llm_plan_matmul (f.plan, f.w, f.out16, LLM_NONE, LLM_NONE));
  text = llm_plan_to_string (f.plan);
  g_assert_cmpstr (text, ==,
                   "   0 embed       y=%0[rows, 16]@0 test.weight:F32[5, 16]\n"
                   "   1 embed       y=%1[rows, 8]@1 test.weight:F32[5, 8]\n"
                   "   2 select-rows y=%2[out, 16]@2 x=%0[rows, 16]@0\n"
                   "   3 matmul      y=%3[out, 24]@3 x=%2[out, 16]@2 test.weight:F32[24, 16]\n");
  ops_model_free (f.model);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (misfits); i++)
    {
      g_autofree char *path = g_strdup_printf ("/plan/misfit/%s", misfits[i].name);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_misfit);
    }
  g_test_add_func ("/plan/fits", test_fits);
  g_test_add_func ("/plan/logits-of-batch-rows", test_logits_of_batch_rows);
  g_test_add_func ("/plan/weights", test_weights);
  g_test_add_func ("/plan/kv-layouts", test_kv_layouts);
  g_test_add_func ("/plan/kv-layouts/q8-0", test_kv_q8_0);
  g_test_add_func ("/plan/liveness", test_liveness);
  g_test_add_func ("/plan/cost", test_cost);
  g_test_add_func ("/plan/print", test_print);
  return g_test_run ();
}
