/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device that checks everything and computes nothing: schedulers can be tested without weights.
 */
#include <string.h>

#include "base/error.h"
#include "compute/devices.h"

typedef struct {
  LlmExecutable parent;
  float *logits;
  gboolean running;
} NullExecutable;

static LlmExecutable *
null_compile (LlmDevice *device, const LlmPlan *plan, const LlmRunLimits *limits, GError **error)
{
  NullExecutable *self = g_new0 (NullExecutable, 1);

  self->logits = g_try_new0 (float, (gsize) MAX (limits->max_out, 1) * llm_plan_value (plan, llm_plan_logits (plan))->width);
  if (self->logits == NULL)
    {
      g_free (self);
      g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for the logits of %u rows", limits->max_out);
      return NULL;
    }
  return &self->parent;
}

static LlmKvBuffer *
null_kv_new (LlmDevice *device, const LlmKvLayout *layout, guint n_pages, GError **error)
{
  return g_new0 (LlmKvBuffer, 1);
}

static double
null_noise (const LlmDevice *device, const LlmDtypeInfo *dtype)
{
  return 0;
}

static gboolean
null_submit (LlmExecutable *executable, LlmKvBuffer *kv, const LlmBatch *batch, GError **error)
{
  NullExecutable *self = (NullExecutable *) executable;

  g_assert (!self->running);
  self->running = TRUE;
  return TRUE;
}

static gboolean
null_wait (LlmExecutable *executable, const float **logits, GError **error)
{
  NullExecutable *self = (NullExecutable *) executable;

  g_assert (self->running);
  self->running = FALSE;
  *logits = self->logits;
  return TRUE;
}

static void
null_executable_free (LlmExecutable *executable)
{
  g_free (((NullExecutable *) executable)->logits);
  g_free (executable);
}

static void
null_kv_free (LlmKvBuffer *kv)
{
  g_free (kv);
}

static void
null_device_free (LlmDevice *device)
{
  g_free (device);
}

static const LlmDeviceClass null_class = {
  null_compile, null_kv_new, null_noise, null_device_free, null_submit, null_wait, null_executable_free, null_kv_free,
};

LlmDevice *
llm_null_device_new (void)
{
  LlmDevice *self = g_new0 (LlmDevice, 1);

  self->klass = &null_class;
  self->info = (LlmDeviceInfo) { g_strdup ("null"), g_strdup ("Null device"), g_strdup ("null"), g_strnfill (32, '0'), LLM_DEVICE_NULL, 0, 0 };
  return self;
}
