/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device under test beside the scalar one.  Every device runs every op.
 */
#pragma once

#include "compute/ops-fixture.h"

G_BEGIN_DECLS

#define OPS_N_TOKENS 19

extern LlmDevice *ops_device, *ops_scalar;
extern gboolean ops_slow; /* every product is emulated: the largest are left out */

/* All of @batches one after the other on a fresh cache. (transfer full) */
float *ops_run_on (LlmDevice *on, const OpsModel *model, OpsBatch *const *batches, guint n_batches, gsize *n);
/* No further apart than the device states for weights of @dtype. */
void ops_compare (const char *what, const OpsModel *model, OpsBatch *const *batches, guint n_batches, LlmDtype dtype);
void ops_compare_within (const char *what, const OpsModel *model, OpsBatch *const *batches, guint n_batches, double stated);
void ops_compare_one (const char *what, const OpsModel *model, guint n_rows, LlmDtype dtype);

/* The ops that take a weight, with every type. */
void ops_types_add_tests (void);
/* The ops that only some families use. */
void ops_families_add_tests (void);
/* Attention. */
void ops_attention_add_tests (void);

G_END_DECLS
