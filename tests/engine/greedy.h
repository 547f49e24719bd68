/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Greedy text of some streams (a prompt and what follows it), the same whoever computes it: the rows of a step are
 * chosen by the engine's schedule, so that prompts come in chunks beside decodes, and batches grow and shrink.
 *
 * The reference is the scalar device, the definition.  Every other run is fed the reference's tokens, so that a tie
 * that falls the other way does not end the comparison.  Of every row of logits is checked:
 *  - bits: where all of a stream's batches so far went by the same kernel, its logits have the same bits, whatever the
 *    neighbours, the number of rows and the chunks of its prompt; and a run has the same bits on any number of threads;
 *  - token: whatever ran, the logits are within the noise of the reference's and of those of one row at a time, and the
 *    best token is their best token wherever that leads by more than twice the noise, for two logits may err towards
 *    each other.
 */
#pragma once

#include "compute/devices.h"
#include "engine/arch.h"

G_BEGIN_DECLS

#define GREEDY_MAX_STREAMS 16

typedef struct _GreedyModel GreedyModel;

typedef struct {
  guint n_streams;
  guint n_prompt[GREEDY_MAX_STREAMS]; /* tokens */
  guint n_output;                     /* of each */
  LlmDtype kv_type;
} GreedyStreams;

/* How far a logit may be off, as a fraction of the deviation of its row's logits. */
typedef struct {
  double definition; /* from the scalar device's; 0: any, where a choice of experts may go another way */
  double alone;      /* from the same device's, one row at a time */
} GreedyNoise;

/* Who computes with whom. */
typedef struct {
  const char *name;
  guint max_rows, max_running;
  guint gap;        /* steps from one stream's coming to the next's */
  guint turn;       /* who is the oldest */
  gboolean leave;   /* every other stream goes when half of its text is there */
  gboolean all_out; /* logits of all rows, not only of those that a sampler wants */
  guint max_threads; /* from 1 on; 0: 1 */
} GreedyScript;

typedef struct {
  guint n_rows;
  guint n_decided; /* rows whose token has to be the reference's */
  guint n_forks;   /* rows whose token was another one, within the noise */
  double worst;    /* noise */
} GreedyCount;

/* What has been compared. */
typedef struct {
  guint n_runs, n_rows, n_same[3];        /* rows with the same bits as before: of few, of many rows, by tiles */
  GreedyCount definition, alone; /* rows against the scalar device, and against the same device, one row at a time */
} GreedyTally;

/* Runs the reference. The model file at @path and its tokens; NotSupported when the engine cannot run it. */
GreedyModel *greedy_model_new (const char *path, const GreedyStreams *streams, GError **error);
void greedy_model_free (GreedyModel *self);
/* The @n streams from @first on, on the kernels @isa: one row at a time, and by the @scripts. */
void greedy_check (GreedyModel *self, const char *isa, const GreedyNoise *noise, const GreedyScript *scripts, guint n_scripts, guint first, guint n,
                   GreedyTally *tally);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GreedyModel, greedy_model_free)

G_END_DECLS
