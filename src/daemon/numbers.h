/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Integers as clients send them: gdbus makes an int32 of "<100>". What counts is the value, not the type that it
 * came in.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Any integer type: sign and magnitude. FALSE: @value is none. */
gboolean llm_number_read_integer (GVariant *value, gboolean *negative, guint64 *magnitude);

G_END_DECLS
