/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A compute device behind one vtable: CPU, Vulkan, or the null device of the tests.
 *
 * Threads: a device, its executables and its KV buffers belong to one thread at a
 * time (the engine thread); enumeration may happen anywhere.  llm_executable_submit()
 * returns as soon as it can; llm_executable_wait() gives the logits, so that the host
 * prepares the next step meanwhile.  One run is in flight per executable.
 * Nothing is allocated between submit and wait in the steady state.
 *
 * Errors: LLM_ERROR_OUT_OF_MEMORY, LLM_ERROR_NOT_SUPPORTED (a type or shape this
 * device cannot do), LLM_ERROR_ENGINE_LOST (device lost: nothing of it is usable any
 * more).  A failed submit leaves the KV pages of its rows undefined, nothing else.
 */
#pragma once

#include "cache/cache.h"
#include "compute/plan.h"

G_BEGIN_DECLS

typedef struct _LlmDevice LlmDevice;
typedef struct _LlmExecutable LlmExecutable;
typedef struct _LlmKvBuffer LlmKvBuffer;

typedef enum {
  LLM_DEVICE_CPU,
  LLM_DEVICE_GPU,      /* discrete or integrated */
  LLM_DEVICE_SOFTWARE, /* a Vulkan driver that runs on the CPU: lavapipe */
  LLM_DEVICE_NULL,
} LlmDeviceType;

typedef struct {
  char *id;             /* "cpu", "vulkan0": what settings and options name */
  char *name;           /* marketing name */
  char *driver;         /* "avx512-vnni", "llvmpipe 22.3.6" */
  char *uuid;           /* 32 hex digits; CPUs: zeros */
  LlmDeviceType type;
  guint64 memory_total; /* bytes */
  guint64 memory_budget;
} LlmDeviceInfo;

void llm_device_info_free (LlmDeviceInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmDeviceInfo, llm_device_info_free)

/* What one run computes.  All arrays are lent until wait returns. */
typedef struct {
  guint n_rows;               /* 1..max_rows of the run limits */
  const gint32 *token;        /* [n_rows] < rows of the embedding */
  const guint32 *position;    /* [n_rows] absolute */
  const guint32 *slot;        /* [n_rows] < n_slots */
  guint n_slots;              /* 1..LLM_BATCH_MAX_SLOTS */
  const guint32 *block_table; /* [n_slots, block_table_stride]: page of token t of slot s is
                                 block_table[s * stride + t / page_tokens] */
  guint block_table_stride;
  guint n_out;                /* 0..n_rows: 0 = only fill the KV cache */
  const guint32 *out_row;     /* [n_out] < n_rows */
  const guint32 *n_keys;      /* [n_rows] row r sees the keys at positions below it (an encoder's rows all of their
                                 text); NULL: position + 1 */
} LlmBatch;

typedef struct {
  guint max_rows;             /* rows of one run, <= LLM_ENCODER_MAX_ROWS */
  guint max_slots;
  guint max_pages_per_slot;
  guint max_out;              /* logit rows of one run */
} LlmRunLimits;

/* Compiles @plan: uploads or maps the weights, records or binds the ops. The plan
 * and its weights' data must outlive the executable.  Blocks (seconds for a large model). */
LlmExecutable *llm_device_compile (LlmDevice *self, const LlmPlan *plan, const LlmRunLimits *limits, GError **error);
/* @n_pages pages of @layout, zeroed. */
LlmKvBuffer *llm_device_kv_new (LlmDevice *self, const LlmKvLayout *layout, guint n_pages, GError **error);
const LlmDeviceInfo *llm_device_info (const LlmDevice *self);
/* The device's stated noise: how far a logit may be from the scalar definition, as a
 * fraction of the logits' standard deviation, for weights of @dtype. 0 = bit-equal. */
double llm_device_noise (const LlmDevice *self, const LlmDtypeInfo *dtype);
void llm_device_free (LlmDevice *self);

/* Checks @batch against the plan and limits (LLM_ERROR... G_DBUS_ERROR_INVALID_ARGS
 * naming row and value), then starts the run. */
gboolean llm_executable_submit (LlmExecutable *self, LlmKvBuffer *kv, const LlmBatch *batch, GError **error);
/* Ends the run: *logits is [n_out, n_vocab], lent until the next submit. */
gboolean llm_executable_wait (LlmExecutable *self, const float **logits, GError **error);
guint64 llm_executable_memory_bytes (const LlmExecutable *self); /* device memory beyond the mapped weights */
void llm_executable_free (LlmExecutable *self);

guint64 llm_kv_buffer_bytes (const LlmKvBuffer *self);
void llm_kv_buffer_free (LlmKvBuffer *self);

/* Time and traffic per op since the last reset; off by default. */
typedef struct {
  guint64 calls, ns, bytes, flops;
} LlmOpProfile;
void llm_executable_set_profiling (LlmExecutable *self, gboolean on);
const LlmOpProfile *llm_executable_profile (const LlmExecutable *self, guint *n_ops); /* by plan op index */

/* ---- for device implementations only ---- */
/* One more call of op @i, which took @ns of a run of @batch. */
void llm_executable_profile_op (LlmExecutable *self, guint i, guint64 ns, const LlmBatch *batch);

typedef struct {
  LlmExecutable *(*compile) (LlmDevice *, const LlmPlan *, const LlmRunLimits *, GError **);
  LlmKvBuffer *(*kv_new) (LlmDevice *, const LlmKvLayout *, guint n_pages, GError **);
  double (*noise) (const LlmDevice *, const LlmDtypeInfo *);
  void (*device_free) (LlmDevice *);
  gboolean (*submit) (LlmExecutable *, LlmKvBuffer *, const LlmBatch *, GError **);
  gboolean (*wait) (LlmExecutable *, const float **logits, GError **);
  void (*executable_free) (LlmExecutable *);
  void (*kv_free) (LlmKvBuffer *);
} LlmDeviceClass;

struct _LlmDevice { /* embed first */
  const LlmDeviceClass *klass;
  LlmDeviceInfo info;
  LlmCache *cache;    /* (owned, nullable) for what is compiled or measured */
  char *cache_folder; /* (owned, nullable) whom that is for: this device with its driver */
};
struct _LlmExecutable { /* embed first */
  const LlmDeviceClass *klass;
  LlmDevice *device;
  const LlmPlan *plan;
  LlmRunLimits limits;
  guint64 memory_bytes;
  gboolean profiling;
  LlmOpProfile *profile; /* [n_ops] */
};
struct _LlmKvBuffer { /* embed first */
  const LlmDeviceClass *klass;
  LlmDevice *device;
  LlmKvLayout layout;
  guint n_pages;
  guint64 bytes;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmDevice, llm_device_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmExecutable, llm_executable_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmKvBuffer, llm_kv_buffer_free)

G_END_DECLS
