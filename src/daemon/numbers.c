/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/numbers.h"

gboolean
llm_number_read_integer (GVariant *value, gboolean *negative, guint64 *magnitude)
{
  gint64 wide = 0;

  *negative = FALSE;
  switch (g_variant_classify (value))
    {
    case G_VARIANT_CLASS_BYTE:
      *magnitude = g_variant_get_byte (value);
      return TRUE;
    case G_VARIANT_CLASS_UINT16:
      *magnitude = g_variant_get_uint16 (value);
      return TRUE;
    case G_VARIANT_CLASS_UINT32:
      *magnitude = g_variant_get_uint32 (value);
      return TRUE;
    case G_VARIANT_CLASS_UINT64:
      *magnitude = g_variant_get_uint64 (value);
      return TRUE;
    case G_VARIANT_CLASS_INT16:
      wide = g_variant_get_int16 (value);
      break;
    case G_VARIANT_CLASS_INT32:
      wide = g_variant_get_int32 (value);
      break;
    case G_VARIANT_CLASS_INT64:
      wide = g_variant_get_int64 (value);
      break;
    default:
      return FALSE;
    }
  *negative = wide < 0;
  *magnitude = wide < 0 ? -(guint64) wide : (guint64) wide;
  return TRUE;
}
