/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "compute/cpu/device-cpu.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "compute/rope.h"

/* ---- executables ---- */

static void
cpu_executable_free (LlmExecutable *executable)
{
  LlmCpuExecutable *self = (LlmCpuExecutable *) executable;
  const LlmPlan *plan = executable->plan;

  for (guint i = 0; self->buffer != NULL && i < llm_plan_n_buffers (plan); i++)
    g_free (self->buffer[i]);
  g_clear_pointer (&self->rope_owned, g_ptr_array_unref);
  g_free (self->buffer);
  g_free ((gpointer) self->rope_freq);
  g_free (self->rope_table);
  llm_cpu_attention_free (self->attention);
  g_free (self->tuning.few);
  g_free (self->products.chunks);
  g_free (self->products.lanes);
  g_free (self->products.x);
  g_free (self->products.q8);
  g_free (self->products.y);
  g_free (self->products.group);
  g_free (self);
}

/* What the largest of the products needs. */
static gboolean
allocate_products (LlmCpuExecutable *self, const LlmPlan *plan, const LlmRunLimits *limits)
{
  LlmCpuProducts *p = &self->products;
  gsize rows = MAX (limits->max_rows, limits->max_out), pairs = rows, groups = 1, chunks = 1, lanes = 1;

  for (guint i = 0; i < llm_plan_n_ops (plan); i++)
    {
      const LlmOp *op = llm_plan_op (plan, i);
      gsize cols, n_chunks, used, experts;

      if (op->kind != LLM_OP_MATMUL && op->kind != LLM_OP_EXPERT_MATMUL)
        continue;
      cols = llm_plan_weight_at (plan, op->w)->n_cols;
      n_chunks = (cols + LLM_CHUNK - 1) / LLM_CHUNK;
      used = op->kind == LLM_OP_MATMUL ? 1 : op->p.expert.n_used;
      experts = op->kind == LLM_OP_MATMUL ? 1 : op->p.expert.n_experts;
      pairs = MAX (pairs, rows * used);
      groups = MAX (groups, experts);
      if (llm_cpu_coded (self->device->kernels, llm_plan_weight_at (plan, op->w)->dtype) == NULL)
        continue;
      chunks = MAX (chunks, rows * (llm_plan_value (plan, op->x)->width / cols) * n_chunks);
      if (rows * used > 1) /* every group of two may have a tile that is not full: see LlmCpuTuning */
        lanes = MAX (lanes, (rows * used / LLM_LANES + MIN (experts, rows * used / 2)) * n_chunks);
    }
  p->chunks = g_try_new (LlmQ8Chunk, chunks);
  p->lanes_bytes = MAX (sizeof (LlmQ8Lanes), self->device->kernels->tiles != NULL ? LLM_CHUNK * LLM_LANES * sizeof (guint16) : 0);
  p->lanes = g_try_malloc_n (lanes, p->lanes_bytes);
  p->x = g_try_new (const float *, pairs);
  p->q8 = g_try_new (const LlmQ8Chunk *, pairs);
  p->y = g_try_new (float *, pairs);
  p->group = g_try_new (LlmCpuGroup, groups);
  self->parent.memory_bytes += chunks * sizeof (LlmQ8Chunk) + lanes * p->lanes_bytes + pairs * 3 * sizeof (gpointer) + groups * sizeof (LlmCpuGroup);
  return p->chunks != NULL && p->lanes != NULL && p->x != NULL && p->q8 != NULL && p->y != NULL && p->group != NULL;
}

static gboolean
allocate (LlmCpuExecutable *self, const LlmPlan *plan, const LlmRunLimits *limits)
{
  gsize n_ops = llm_plan_n_ops (plan), rope_dim = 2;

  self->buffer = g_new0 (float *, MAX (llm_plan_n_buffers (plan), 1));
  for (guint i = 0; i < llm_plan_n_buffers (plan); i++)
    {
      gsize rows = llm_plan_buffer_rows (plan, i) == LLM_ROWS_OUT ? MAX (limits->max_out, 1) : limits->max_rows;

      self->buffer[i] = g_try_new (float, rows * llm_plan_buffer_width (plan, i));
      if (self->buffer[i] == NULL)
        return FALSE;
      self->parent.memory_bytes += rows * llm_plan_buffer_width (plan, i) * sizeof (float);
    }
  for (guint i = 0; i < n_ops; i++)
    {
      const LlmOp *op = llm_plan_op (plan, i);

      if (op->kind == LLM_OP_ROPE)
        rope_dim = MAX (rope_dim, op->p.rope.dim);
    }
  self->rope_table = g_try_new (float, limits->max_rows * rope_dim);
  self->parent.memory_bytes += limits->max_rows * rope_dim * sizeof (float);
  self->attention = llm_cpu_attention_new (plan, limits);
  self->parent.memory_bytes += self->attention != NULL ? llm_cpu_attention_bytes (self->attention) : 0;
  return self->rope_table != NULL && self->attention != NULL && allocate_products (self, plan, limits);
}

static LlmExecutable *
cpu_compile (LlmDevice *device, const LlmPlan *plan, const LlmRunLimits *limits, GError **error)
{
  LlmCpuExecutable *self = g_new0 (LlmCpuExecutable, 1);

  self->device = (LlmCpuDevice *) device;
  self->parent.plan = plan;
  if (!allocate (self, plan, limits))
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for the activations of %u rows", limits->max_rows);
      cpu_executable_free (&self->parent);
      return NULL;
    }
  llm_cpu_tune (self->device, plan, &self->tuning);
  self->rope_freq = g_new0 (const double *, MAX (llm_plan_n_ops (plan), 1));
  self->rope_owned = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < llm_plan_n_ops (plan); i++)
    if (llm_plan_op (plan, i)->kind == LLM_OP_ROPE)
      {
        guint first = llm_rope_first_same (plan, i);

        if (first == i)
          g_ptr_array_add (self->rope_owned, llm_rope_frequencies (plan, llm_plan_op (plan, i)));
        self->rope_freq[i] = first == i ? self->rope_owned->pdata[self->rope_owned->len - 1] : self->rope_freq[first];
      }
  self->logits = self->buffer[llm_plan_value (plan, llm_plan_logits (plan))->buffer];
  return &self->parent;
}

static gboolean
cpu_submit (LlmExecutable *executable, LlmKvBuffer *kv, const LlmBatch *batch, GError **error)
{
  LlmCpuExecutable *self = (LlmCpuExecutable *) executable;

  self->batch = batch;
  self->kv = (LlmCpuKv *) kv;
  self->products.chunks_of = self->products.lanes_of = LLM_NONE;
  self->rope_of = NULL;
  return TRUE;
}

static gint64
now_ns (void)
{
  struct timespec ts;

  clock_gettime (CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * (gint64) 1000000000 + ts.tv_nsec;
}

static gboolean
cpu_wait (LlmExecutable *executable, const float **logits, GError **error)
{
  LlmCpuExecutable *self = (LlmCpuExecutable *) executable;

  for (guint i = 0; i < llm_plan_n_ops (executable->plan); i++)
    {
      gint64 start = executable->profiling ? now_ns () : 0;

      llm_cpu_run_op (self, i);
      if (executable->profiling)
        llm_executable_profile_op (executable, i, (guint64) (now_ns () - start), self->batch);
    }
  *logits = self->logits;
  return TRUE;
}

/* ---- KV cache ---- */

static void
cpu_kv_free (LlmKvBuffer *kv)
{
  LlmCpuKv *self = (LlmCpuKv *) kv;

  munmap (self->bytes, kv->bytes);
  g_free (self);
}

static LlmKvBuffer *
cpu_kv_new (LlmDevice *device, const LlmKvLayout *layout, guint n_pages, GError **error)
{
  LlmCpuKv *self = g_new0 (LlmCpuKv, 1);
  guint64 page_bytes;

  llm_kv_layout_page_bytes (layout, &page_bytes); /* checked by device.c */
  self->parent.bytes = page_bytes * n_pages;
  self->bytes = mmap (NULL, self->parent.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (self->bytes == MAP_FAILED)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for a KV cache of %" G_GUINT64_FORMAT " bytes", self->parent.bytes);
      g_free (self);
      return NULL;
    }
  madvise (self->bytes, self->parent.bytes, MADV_HUGEPAGE); /* else the walk to each page costs more than to read it */
  self->k_row = layout->n_kv_heads * llm_kv_head_bytes (layout->dtype, layout->head_dim_k);
  self->v_row = layout->n_kv_heads * llm_kv_head_bytes (layout->dtype, layout->head_dim_v);
  self->k_layer = (gsize) n_pages * layout->page_tokens * self->k_row;
  self->v_layer = (gsize) n_pages * layout->page_tokens * self->v_row;
  self->v_bytes = self->bytes + layout->n_layers * self->k_layer;
  return &self->parent;
}

/* ---- the device ---- */

static double
cpu_noise (const LlmDevice *device, const LlmDtypeInfo *dtype)
{
  const LlmCpuKernels *kernels = ((const LlmCpuDevice *) device)->kernels;

  if (kernels->noise == 0)
    return 0;
  return llm_cpu_coded (kernels, dtype) != NULL ? kernels->noise : 1e-4;
}

static void
cpu_device_free (LlmDevice *device)
{
  llm_pool_free (((LlmCpuDevice *) device)->pool);
  g_free (device);
}

static const LlmDeviceClass cpu_class = {
  cpu_compile, cpu_kv_new, cpu_noise, cpu_device_free, cpu_submit, cpu_wait, cpu_executable_free, cpu_kv_free,
};

/* "model name" of /proc/cpuinfo, or a plain word. */
static char *
cpu_name (void)
{
  g_autofree char *text = NULL;
  char *line, *colon;

  if (!g_file_get_contents ("/proc/cpuinfo", &text, NULL, NULL) || (line = strstr (text, "model name")) == NULL
      || (colon = strchr (line, ':')) == NULL)
    return g_strdup ("CPU");
  line = strchr (colon, '\n');
  return g_strstrip (g_strndup (colon + 1, line != NULL ? (gsize) (line - colon - 1) : strlen (colon + 1)));
}

LlmDevice *
llm_cpu_device_new (guint n_threads, const char *isa, GError **error)
{
  const LlmCpuKernels *kernels = llm_cpu_kernels_find (isa, error);
  LlmCpuDevice *self;
  guint64 total;

  if (kernels == NULL)
    return NULL;
  total = (guint64) sysconf (_SC_PHYS_PAGES) * (guint64) sysconf (_SC_PAGESIZE);
  self = g_new0 (LlmCpuDevice, 1);
  self->parent.klass = &cpu_class;
  self->parent.info = (LlmDeviceInfo) { g_strdup ("cpu"), cpu_name (), g_strdup (kernels->name), g_strnfill (32, '0'), LLM_DEVICE_CPU, total, total / 4 * 3 };
  self->kernels = kernels;
  self->pool = llm_pool_new (n_threads);
  return &self->parent;
}
