/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CPU as a compute device: ops one after the other, each shared out over the worker pool.
 */
#pragma once

#include "base/pool.h"
#include "compute/cpu/attention.h"
#include "compute/cpu/kernels.h"
#include "compute/cpu/tuning.h"
#include "compute/devices.h"

struct _LlmCpuDevice {
  LlmDevice parent;
  LlmPool *pool; /* (owned) */
  const LlmCpuKernels *kernels;
};

typedef struct {
  LlmKvBuffer parent;
  guint8 *bytes;         /* K of all layers, then V of all layers */
  gsize k_row, v_row;    /* bytes of one token's keys, values */
  gsize k_layer, v_layer; /* bytes of one layer */
  guint8 *v_bytes;       /* (in bytes) */
} LlmCpuKv;

/* Rows that go through the same weight rows: all of a plain product, those of one expert else. */
typedef struct {
  guint first, n_rows; /* in the arrays below */
  guint tile;          /* of lanes, where there are more rows than LlmCpuRows.few */
  gsize weight;        /* row */
} LlmCpuGroup;

/* The inputs and outputs of the product under way. */
typedef struct {
  LlmQ8Chunk *chunks;  /* rows of n_chunks */
  LlmQ8Lanes *lanes;   /* tiles of n_chunks, each of lanes_bytes: LlmQ8Lanes, or as much for bf16 */
  gsize lanes_bytes;
  LlmValueId chunks_of, lanes_of; /* the value that they hold in this run */
  guint n_chunks;
  const float **x;     /* [rows, experts used], as are q8 and y */
  const LlmQ8Chunk **q8;
  float **y;
  LlmCpuGroup *group;
  guint n_groups;
} LlmCpuProducts;

typedef struct {
  LlmExecutable parent;
  float **buffer;      /* [n_buffers], rows of buffer_width */
  float *logits;       /* (in buffer) */
  LlmCpuProducts products;
  LlmCpuTuning tuning;
  const double **rope_freq; /* [n_ops]: [dim / 2] of each rope op, NULL elsewhere; of rope_owned */
  GPtrArray *rope_owned;
  float *rope_table;   /* [max_rows, dim]: cos, sin of the ops that share rope_of's frequencies */
  const double *rope_of;
  LlmCpuAttention *attention; /* (owned) */
  const LlmBatch *batch;
  LlmCpuKv *kv;
  LlmCpuDevice *device;
} LlmCpuExecutable;

LlmDevice *llm_cpu_device_new (guint n_threads, const char *isa, GError **error);
/* Runs op @i of the batch in self->batch. */
void llm_cpu_run_op (LlmCpuExecutable *self, guint i);
