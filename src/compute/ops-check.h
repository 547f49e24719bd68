/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shape checks of one op, once, ahead of all devices.
 */
#pragma once

#include "compute/plan.h"

/* NULL when @op fits the plan's values and weights, with the shape of its output; else what is
 * wrong. (transfer full) Ops without an output leave @rows and @width alone. */
char *llm_op_check (const LlmPlan *plan, const LlmOp *op, LlmRowSet *rows, guint *width);
