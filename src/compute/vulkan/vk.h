/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the Vulkan device share.  Every call that can fail goes through
 * llm_vk_check(), so that device loss and lack of memory have one path; no wait is endless.
 */
#pragma once

#include <vulkan/vulkan.h>

#include "compute/vulkan/device-vulkan.h"
#include "format/codebook.h"

#define LLM_PARAMS_C
#include "params.h"

#define LLM_VK_N_DTYPES 40 /* numbers of element types in the file format, rounded up */

/* How many weight rows a workgroup of a product has; the first one unless something else was measured to be faster. Results are the same. */
#define LLM_VK_N_TILES 4
extern const guint8 llm_vk_tiles[LLM_VK_N_TILES];

/* Runs of few rows and of many: each has its own tiles. */
#define LLM_VK_FEW_ROWS 8
enum { LLM_VK_FEW, LLM_VK_MANY, LLM_VK_N_SIZES };

typedef struct {
  VkBuffer buffer;
  VkDeviceMemory memory;
  VkDeviceSize size;
  void *map;               /* NULL when the host cannot see it */
  VkDeviceAddress address; /* 0 unless asked for */
} LlmVkBuffer;

typedef struct {
  LlmDevice parent;
  VkInstance instance;
  VkPhysicalDevice physical;
  VkDevice device;
  VkQueue queue;
  guint32 queue_family;
  VkPhysicalDeviceMemoryProperties memory;
  VkPhysicalDeviceLimits limits;
  guint32 timestamp_bits; /* of the queue; 0: it has none */
  VkDescriptorSetLayout set_layout;
  VkPipelineLayout pipeline_layout;
  VkPipeline pipelines[LLM_N_OPS][LLM_VK_N_DTYPES][LLM_VK_N_TILES]; /* by element type of the weight or the cache, else 0; made when a plan needs them */
  LlmVkBuffer codebooks[LLM_N_CODEBOOKS];           /* likewise */
  VkPipelineCache pipeline_cache;                   /* from the first pipeline on */
  gint64 compile_us; /* since it was last kept */
  VkCommandPool command_pool;
  VkFence fence; /* of the one batch that runs */
  gboolean overdue;   /* it runs on, though nobody waits for it any more */
  gboolean abandoned; /* and did so when something of it was to be destroyed: nothing is from then on */
  guint64 n_caches; /* made so far */
  GHashTable *weights; /* LlmVkWeight: those of all executables */
} LlmVkDevice;

typedef enum {
  LLM_VK_DEVICE_ONLY,  /* the host need not see it; it may */
  LLM_VK_HOST_WRITES,  /* mapped, coherent */
  LLM_VK_HOST_READS,   /* mapped, coherent, cached if possible */
} LlmVkUse;

/* TRUE for VK_SUCCESS; else EngineLost, OutOfMemory or Failed with what was being done. */
gboolean llm_vk_check (VkResult result, const char *doing, GError **error);

/* memory.c; zeroed is only what llm_vk_fill() fills. */
gboolean llm_vk_buffer_init (LlmVkDevice *device, LlmVkBuffer *buffer, VkDeviceSize size, LlmVkUse use, VkBufferUsageFlags usage, GError **error);
void llm_vk_buffer_clear (LlmVkDevice *device, LlmVkBuffer *buffer);
/* Copies @data in, through a staging buffer when need be. Blocks. */
gboolean llm_vk_upload (LlmVkDevice *device, LlmVkBuffer *buffer, const void *data, gsize size, GError **error);
gboolean llm_vk_fill_zero (LlmVkDevice *device, LlmVkBuffer *buffer, GError **error);
/* Whether what a batch uses may be destroyed: not while one that ran out of time still runs. What then stays is the driver's. */
gboolean llm_vk_settled (LlmVkDevice *device);
/* Submits @commands and waits, in slices, at most LLM_VK_WAIT_SECONDS; longer for a driver that runs on the CPU. */
gboolean llm_vk_run (LlmVkDevice *device, VkCommandBuffer commands, GError **error);

/* weights-vulkan.c */
typedef struct {
  const void *data; /* (lent) the host's */
  guint64 n_bytes;
  guint refs;
  LlmVkBuffer buffer;
} LlmVkWeight;
/* Uploads @weight unless it is there (then *@is_new is FALSE); the caller holds it until the release. */
LlmVkWeight *llm_vk_weight_take (LlmVkDevice *device, const LlmWeight *weight, gboolean *is_new, GError **error);
void llm_vk_weight_release (LlmVkDevice *device, LlmVkWeight *weight);

/* pipelines.c */
gboolean llm_vk_pipelines_init (LlmVkDevice *device, GError **error);
void llm_vk_pipelines_clear (LlmVkDevice *device);
/* The pipeline of @op for the element type @dtype with the @tile-th of llm_vk_tiles (0 where the op has none); loads the code book of that type, too.
 * LLM_ERROR_NOT_SUPPORTED: there is no such shader. */
VkPipeline llm_vk_pipeline (LlmVkDevice *device, LlmOpKind op, guint32 dtype, guint tile, GError **error);
/* pipeline-cache.c: what the driver made of the shaders, kept for the next start. Without a cache neither does anything. */
void llm_vk_pipeline_cache_open (LlmVkDevice *device);
void llm_vk_pipeline_cache_keep (LlmVkDevice *device); /* after pipelines were made */
/* NULL for a type without a code book. */
LlmVkBuffer *llm_vk_codebook (LlmVkDevice *device, guint32 dtype);

/* ops-vulkan.c */
guint32 llm_vk_op_dtype (const LlmPlan *plan, const LlmOp *op); /* of the weight or the cache that its shader reads; else 0 */
struct LlmParams llm_vk_op_params (const LlmPlan *plan, const LlmOp *op, guint max_rows); /* all but the addresses */
gboolean llm_vk_op_is_product (const LlmOp *op);
/* @tile: as for llm_vk_pipeline() */
VkDispatchIndirectCommand llm_vk_op_groups (const LlmPlan *plan, const LlmOp *op, guint tile, const LlmBatch *batch);

/* timing.c; without timestamps all do nothing. Times of a run go to the executable's profile. */
typedef struct {
  VkQueryPool pool; /* [n_ops + 1]; made when a profile is first asked for */
  guint n_ops;
} LlmVkTiming;
gboolean llm_vk_timing_init (LlmVkTiming *self, LlmVkDevice *device, guint n_ops, GError **error);
void llm_vk_timing_clear (LlmVkTiming *self, LlmVkDevice *device);
void llm_vk_timing_begin (const LlmVkTiming *self, VkCommandBuffer commands);
void llm_vk_timing_mark (const LlmVkTiming *self, VkCommandBuffer commands, guint op);
gboolean llm_vk_timing_read (const LlmVkTiming *self, LlmExecutable *executable, const LlmBatch *batch, GError **error);

/* tuning-vulkan.c: which tiles are fastest for the products of a plan, measured once for a device and kept. */
typedef struct {
  guint8 tile[LLM_VK_N_SIZES]; /* indices into llm_vk_tiles */
} LlmVkTuning;
/* Runs op @op with tiles @tile on @n_rows rows several times; nanoseconds of one, or a negative number: it cannot. */
typedef double (*LlmVkMeasure) (gpointer data, guint op, guint tile, guint n_rows);
/* For every op of @plan. (transfer full) */
LlmVkTuning *llm_vk_tune (LlmVkDevice *device, const LlmPlan *plan, guint max_rows, LlmVkMeasure measure, gpointer data);

/* executable-vulkan.c */
LlmExecutable *llm_vk_compile (LlmDevice *device, const LlmPlan *plan, const LlmRunLimits *limits, GError **error);
gboolean llm_vk_submit (LlmExecutable *executable, LlmKvBuffer *kv, const LlmBatch *batch, GError **error);
gboolean llm_vk_wait (LlmExecutable *executable, const float **logits, GError **error);
void llm_vk_executable_free (LlmExecutable *executable);
LlmKvBuffer *llm_vk_kv_new (LlmDevice *device, const LlmKvLayout *layout, guint n_pages, GError **error);
void llm_vk_kv_free (LlmKvBuffer *kv);

typedef struct {
  LlmKvBuffer parent;
  guint64 serial; /* from 1; an address can come again, this cannot */
  LlmVkBuffer k, v;
  VkDeviceSize k_layer, v_layer; /* bytes of a layer, aligned for a descriptor */
} LlmVkKv;
