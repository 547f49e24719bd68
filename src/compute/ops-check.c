/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One function per op; each says in its own words what does not fit.
 */
#include "compute/ops-check.h"

#include <math.h>

#include "base/limits.h"

static const char *const op_names[LLM_N_OPS] = {
  "embed", "rms-norm", "matmul", "rope", "kv-write", "attention", "glu", "add", "select-rows",
  "layer-norm", "scale", "route", "expert-matmul", "expert-mix",
};

const char *
llm_op_name (LlmOpKind kind)
{
  return op_names[kind];
}

static char *
check_vector (const LlmWeight *w, guint64 n, const char *role)
{
  if (w->dtype->id != LLM_DTYPE_F32 || w->n_rows != 1 || w->n_cols != n)
    return g_strdup_printf ("%s %s is %s [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "]; F32 [1, %" G_GUINT64_FORMAT "] is needed", role, w->name,
                            w->dtype->name, w->n_rows, w->n_cols, n);
  return NULL;
}

static char *
check_embed (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  *rows = LLM_ROWS_BATCH;
  *width = (guint) llm_plan_weight_at (plan, op->w)->n_cols;
  if (op->p.embed.source >= LLM_N_EMBEDS || !isfinite (op->p.embed.scale))
    return g_strdup_printf ("source %u, scale %g; token, position or first, and a finite number are needed", op->p.embed.source, (double) op->p.embed.scale);
  return NULL;
}

static char *
check_eps (const LlmOp *op)
{
  return op->p.norm.eps > 0 ? NULL : g_strdup_printf ("eps is %g; a number above 0 is needed", (double) op->p.norm.eps);
}

static char *
check_rms_norm (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  const LlmValue *x = llm_plan_value (plan, op->x);
  const LlmWeight *g = llm_plan_weight_at (plan, op->w);
  char *wrong = check_eps (op);

  *rows = x->rows;
  *width = x->width;
  if (wrong == NULL && x->width % g->n_cols != 0)
    wrong = g_strdup_printf ("gain %s has %" G_GUINT64_FORMAT " columns; the %u of the input are no multiple of it", g->name, g->n_cols, x->width);
  return wrong != NULL ? wrong : check_vector (g, g->n_cols, "gain");
}

static char *
check_layer_norm (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  const LlmValue *x = llm_plan_value (plan, op->x);
  char *wrong = check_eps (op);

  *rows = x->rows;
  *width = x->width;
  if (wrong == NULL)
    wrong = check_vector (llm_plan_weight_at (plan, op->w), x->width, "gain");
  if (wrong == NULL && op->b != LLM_NONE)
    wrong = check_vector (llm_plan_weight_at (plan, op->b), x->width, "bias");
  return wrong;
}

static char *
check_matmul (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  const LlmValue *x = llm_plan_value (plan, op->x);
  const LlmWeight *w = llm_plan_weight_at (plan, op->w);

  *rows = x->rows;
  *width = (guint) w->n_rows;
  if (w->n_cols != x->width)
    return g_strdup_printf ("weight %s is [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "], its input has %u columns", w->name, w->n_rows, w->n_cols, x->width);
  if (op->z != LLM_NONE)
    {
      const LlmValue *z = llm_plan_value (plan, op->z);

      if (z->rows != x->rows || z->width != w->n_rows)
        return g_strdup_printf ("the residual has %u columns of %s rows, the product of %s has %" G_GUINT64_FORMAT, z->width,
                                z->rows == LLM_ROWS_OUT ? "out" : "batch", w->name, w->n_rows);
    }
  return op->b != LLM_NONE ? check_vector (llm_plan_weight_at (plan, op->b), w->n_rows, "bias") : NULL;
}

static char *
check_rope (const LlmPlan *plan, const LlmOp *op)
{
  const LlmValue *x = llm_plan_value (plan, op->x);
  const LlmRopeParams *p = &op->p.rope;

  if (x->rows != LLM_ROWS_BATCH)
    return g_strdup ("only batch rows have positions");
  if (p->n_heads == 0 || (guint64) p->n_heads * p->head_dim != x->width)
    return g_strdup_printf ("%u heads of %u do not make %u columns", p->n_heads, p->head_dim, x->width);
  if (p->dim == 0 || p->dim % 2 != 0 || p->dim > p->head_dim)
    return g_strdup_printf ("dim is %u; an even number up to the head's %u is needed", p->dim, p->head_dim);
  if (!(p->base > 0) || !(p->scale > 0) || !(p->magnitude > 0))
    return g_strdup_printf ("base %g, scale %g and magnitude %g must be above 0", (double) p->base, (double) p->scale, (double) p->magnitude);
  if (p->yarn_context > 0 && (!(p->beta_slow > 0) || !(p->beta_fast >= p->beta_slow) || !(p->base > 1)))
    return g_strdup_printf ("YaRN between %g and %g turns of base %g; 0 < slow <= fast and a base above 1 are needed", (double) p->beta_slow,
                            (double) p->beta_fast, (double) p->base);
  return op->w != LLM_NONE ? check_vector (llm_plan_weight_at (plan, op->w), p->dim / 2, "factors") : NULL;
}

static char *
check_kv_write (const LlmPlan *plan, const LlmOp *op)
{
  const LlmKvLayout *kv = llm_plan_kv_layout (plan);
  const LlmValue *k = llm_plan_value (plan, op->x), *v = llm_plan_value (plan, op->z);

  if (op->p.kv_write.layer >= kv->n_layers)
    return g_strdup_printf ("layer %u of %u", op->p.kv_write.layer, kv->n_layers);
  if (k->rows != LLM_ROWS_BATCH || v->rows != LLM_ROWS_BATCH || k->width != (guint64) kv->n_kv_heads * kv->head_dim_k
      || v->width != (guint64) kv->n_kv_heads * kv->head_dim_v)
    return g_strdup_printf ("keys have %u and values %u columns; the cache has %u heads of %u and %u", k->width, v->width, kv->n_kv_heads, kv->head_dim_k,
                            kv->head_dim_v);
  return NULL;
}

static char *
check_attention (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  const LlmKvLayout *kv = llm_plan_kv_layout (plan);
  const LlmValue *q = llm_plan_value (plan, op->x);
  const LlmAttentionParams *p = &op->p.attention;

  *rows = LLM_ROWS_BATCH;
  *width = p->n_heads * kv->head_dim_v;
  if (p->layer >= kv->n_layers)
    return g_strdup_printf ("layer %u of %u", p->layer, kv->n_layers);
  if (p->n_heads == 0 || p->n_heads % kv->n_kv_heads != 0)
    return g_strdup_printf ("%u query heads are no multiple of %u key heads", p->n_heads, kv->n_kv_heads);
  if (q->rows != LLM_ROWS_BATCH || q->width != (guint64) p->n_heads * kv->head_dim_k)
    return g_strdup_printf ("queries have %u columns; %u heads of %u are needed", q->width, p->n_heads, kv->head_dim_k);
  if ((guint64) p->n_heads * kv->head_dim_v > G_MAXINT32)
    return g_strdup_printf ("%u heads of %u values are too many columns", p->n_heads, kv->head_dim_v);
  if (!isfinite (p->scale) || !(p->cap >= 0))
    return g_strdup_printf ("scale %g and cap %g must be finite, the cap not below 0", (double) p->scale, (double) p->cap);
  return op->w != LLM_NONE ? check_vector (llm_plan_weight_at (plan, op->w), p->n_heads, "sinks") : NULL;
}

static char *
check_pair (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  const LlmValue *x = llm_plan_value (plan, op->x), *z = llm_plan_value (plan, op->z);

  *rows = x->rows;
  *width = x->width;
  if (x->rows != z->rows || x->width != z->width)
    return g_strdup_printf ("operands have %u and %u columns, of %s and %s rows", x->width, z->width, x->rows == LLM_ROWS_OUT ? "out" : "batch",
                            z->rows == LLM_ROWS_OUT ? "out" : "batch");
  return NULL;
}

static char *
check_glu (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  if (op->p.glu.act >= LLM_N_ACTS)
    return g_strdup_printf ("activation %u of %u", op->p.glu.act, LLM_N_ACTS);
  if (op->z != LLM_NONE)
    return check_pair (plan, op, rows, width);
  if (op->p.glu.act == LLM_ACT_SWIGLU_CLAMPED)
    return g_strdup ("this activation takes two operands");
  *rows = llm_plan_value (plan, op->x)->rows;
  *width = llm_plan_value (plan, op->x)->width;
  return NULL;
}

static char *
check_scale (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  *rows = llm_plan_value (plan, op->x)->rows;
  *width = llm_plan_value (plan, op->x)->width;
  if (!isfinite (op->p.scale.scale) || !(op->p.scale.cap >= 0))
    return g_strdup_printf ("scale %g and cap %g must be finite, the cap not below 0", (double) op->p.scale.scale, (double) op->p.scale.cap);
  return NULL;
}

static char *
check_route (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  const LlmValue *x = llm_plan_value (plan, op->x);
  guint k = op->p.route.n_used;

  *rows = x->rows;
  *width = 2 * k;
  if (x->width > LLM_MODEL_MAX_EXPERTS || k == 0 || k > x->width)
    return g_strdup_printf ("%u of %u experts; 1 to %u are allowed, of %d at most", k, x->width, x->width, LLM_MODEL_MAX_EXPERTS);
  return isfinite (op->p.route.scale) ? NULL : g_strdup ("the scale must be finite");
}

/* What an op on experts needs of its route. */
static char *
check_routed (const LlmPlan *plan, const LlmOp *op)
{
  const LlmValue *x = llm_plan_value (plan, op->x), *z = llm_plan_value (plan, op->z);
  guint k = op->p.expert.n_used;

  if (k == 0 || k > op->p.expert.n_experts || op->p.expert.n_experts > LLM_MODEL_MAX_EXPERTS)
    return g_strdup_printf ("%u of %u experts; %d are allowed", k, op->p.expert.n_experts, LLM_MODEL_MAX_EXPERTS);
  if (z->rows != x->rows || z->width != 2 * k)
    return g_strdup_printf ("the route has %u columns; %u are needed, of the input's rows", z->width, 2 * k);
  return NULL;
}

static char *
check_expert_matmul (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  const LlmValue *x = llm_plan_value (plan, op->x);
  const LlmWeight *w = llm_plan_weight_at (plan, op->w);
  guint n = op->p.expert.n_experts, k = op->p.expert.n_used;
  char *wrong = check_routed (plan, op);

  if (wrong != NULL)
    return wrong;
  *rows = x->rows;
  if (w->n_rows % n != 0 || (x->width != w->n_cols && x->width != w->n_cols * k) || w->n_rows / n * k > G_MAXINT32)
    return g_strdup_printf ("weight %s is [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "] of %u experts, its input has %u columns", w->name, w->n_rows,
                            w->n_cols, n, x->width);
  *width = (guint) (w->n_rows / n) * k;
  return op->b != LLM_NONE ? check_vector (llm_plan_weight_at (plan, op->b), w->n_rows, "bias") : NULL;
}

static char *
check_expert_mix (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  const LlmValue *x = llm_plan_value (plan, op->x);
  char *wrong = check_routed (plan, op);

  if (wrong != NULL)
    return wrong;
  *rows = x->rows;
  *width = x->width / op->p.expert.n_used;
  return x->width % op->p.expert.n_used == 0 ? NULL : g_strdup_printf ("%u columns of %u experts", x->width, op->p.expert.n_used);
}

static char *
check_select_rows (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  const LlmValue *x = llm_plan_value (plan, op->x);

  *rows = LLM_ROWS_OUT;
  *width = x->width;
  return x->rows == LLM_ROWS_BATCH ? NULL : g_strdup ("the rows have been selected already");
}

char *
llm_op_check (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width)
{
  switch (op->kind)
    {
    case LLM_OP_EMBED:
      return check_embed (plan, op, rows, width);
    case LLM_OP_RMS_NORM:
      return check_rms_norm (plan, op, rows, width);
    case LLM_OP_MATMUL:
      return check_matmul (plan, op, rows, width);
    case LLM_OP_ROPE:
      return check_rope (plan, op);
    case LLM_OP_KV_WRITE:
      return check_kv_write (plan, op);
    case LLM_OP_ATTENTION:
      return check_attention (plan, op, rows, width);
    case LLM_OP_LAYER_NORM:
      return check_layer_norm (plan, op, rows, width);
    case LLM_OP_GLU:
      return check_glu (plan, op, rows, width);
    case LLM_OP_SCALE:
      return check_scale (plan, op, rows, width);
    case LLM_OP_ROUTE:
      return check_route (plan, op, rows, width);
    case LLM_OP_EXPERT_MATMUL:
      return check_expert_matmul (plan, op, rows, width);
    case LLM_OP_EXPERT_MIX:
      return check_expert_mix (plan, op, rows, width);
    case LLM_OP_ADD:
      return check_pair (plan, op, rows, width);
    case LLM_OP_SELECT_ROWS:
      return check_select_rows (plan, op, rows, width);
    default:
      g_assert_not_reached ();
    }
}
