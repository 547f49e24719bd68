/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes as a list of decisions: a mutation of one byte changes one decision, so that the
 * fuzzer stays in the land of inputs that get far.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "fuzz/fuzz.h"

#define LONGEST 2048
#define MOST_MESSAGE_BYTES (512 * LLM_KIB) /* beyond it only the clock would find anything */

guint
llm_fuzz_choose (LlmReader *in, guint n)
{
  guint8 byte;

  return llm_reader_u8 (in, &byte) ? byte % n : 0;
}

guint64
llm_fuzz_number (LlmReader *in)
{
  static const guint64 edges[] = {
    0, 1, 2, 20, 21, 40, 64, 65, 255, 256, 65535, 65536, 2097152, 2097153, 16777216, 16777217, 86400000, 86400001,
    G_MAXINT32, (guint64) G_MAXINT32 + 1, G_MAXUINT32, (guint64) G_MAXUINT32 + 1, G_MAXINT64, (guint64) G_MAXINT64 + 1, G_MAXUINT64 - 1, G_MAXUINT64,
  };
  guint which = llm_fuzz_choose (in, 256);
  guint64 value = 0;

  if (which < G_N_ELEMENTS (edges))
    return edges[which];
  if (which < 128)
    return which;
  llm_reader_u64 (in, &value);
  return value;
}

double
llm_fuzz_double (LlmReader *in)
{
  static const double edges[] = { 0, -0.0, 0.5, 1, -1, 2, -2, 100, -100, 2.0000001, 1e-310, 1e300, INFINITY, -INFINITY, NAN };
  guint which = llm_fuzz_choose (in, 32);
  guint64 bits = 0;
  double value;

  if (which < G_N_ELEMENTS (edges))
    return edges[which];
  llm_reader_u64 (in, &bits);
  memcpy (&value, &bits, sizeof value);
  return value;
}

GBytes *
llm_fuzz_bytes (LlmReader *in)
{
  guint repeat = llm_fuzz_choose (in, 256), n = llm_fuzz_choose (in, 256);
  const guint8 *bytes;
  GByteArray *out = g_byte_array_new ();

  n = MIN (n, (guint) llm_reader_remaining (in));
  if (!llm_reader_bytes (in, n, &bytes))
    return g_byte_array_free_to_bytes (out);
  repeat = repeat < 250 ? 1 : 1u << (repeat - 249) * 2;
  while (repeat-- > 0 && out->len + n <= LONGEST)
    g_byte_array_append (out, bytes, n);
  return g_byte_array_free_to_bytes (out);
}

char *
llm_fuzz_text (LlmReader *in)
{
  g_autoptr (GBytes) bytes = llm_fuzz_bytes (in);
  gsize size;
  const char *data = g_bytes_get_data (bytes, &size);

  return data != NULL ? g_utf8_make_valid (data, (gssize) size) : g_strdup ("");
}

void
llm_fuzz_check_error (gboolean ok, GError **error)
{
  g_assert_true (ok == (*error == NULL));
  g_assert_true (ok || (*error)->domain == LLM_ERROR || (*error)->domain == G_DBUS_ERROR);
  g_assert_true (ok || (strlen ((*error)->message) < 2048 && g_utf8_validate ((*error)->message, -1, NULL))); /* it goes over D-Bus */
  g_clear_error (error);
}

/* ---- GVariant ---- */

static GVariant *
make_biases (LlmReader *in)
{
  gboolean is_signed = llm_fuzz_choose (in, 2) == 1;
  guint n = llm_fuzz_choose (in, 256);
  GVariantBuilder b;

  n = n < 250 ? n % 8 : 1020 + (n - 250);
  g_variant_builder_init (&b, G_VARIANT_TYPE (is_signed ? "a{id}" : "a{ud}"));
  while (n-- > 0)
    g_variant_builder_add (&b, is_signed ? "{id}" : "{ud}", (guint32) llm_fuzz_number (in), llm_fuzz_double (in));
  return g_variant_builder_end (&b);
}

static GVariant *
make_strings (LlmReader *in)
{
  guint n = llm_fuzz_choose (in, 20);
  GVariantBuilder b;

  g_variant_builder_init (&b, G_VARIANT_TYPE_STRING_ARRAY);
  while (n-- > 0)
    {
      g_autofree char *text = llm_fuzz_text (in);
      g_variant_builder_add (&b, "s", text);
    }
  return g_variant_builder_end (&b);
}

/* Any type at all, its bytes as they come, made normal as D-Bus would have it. */
static GVariant *
make_any (LlmReader *in)
{
  g_autofree char *type = llm_fuzz_text (in);
  g_autoptr (GBytes) bytes = llm_fuzz_bytes (in);
  g_autoptr (GVariant) raw = NULL;

  if (strlen (type) > 32 || !g_variant_type_string_is_valid (type) || !g_variant_type_is_definite (G_VARIANT_TYPE (type)))
    return g_variant_new_tuple (NULL, 0);
  raw = g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE (type), bytes, FALSE));
  return g_variant_get_normal_form (raw);
}

/* (floating or full) */
static GVariant *
make_value (LlmReader *in)
{
  g_autofree char *text = NULL;
  g_autoptr (GVariant) inner = NULL;

  switch (llm_fuzz_choose (in, 16))
    {
    case 0:
      return g_variant_new_boolean (llm_fuzz_choose (in, 2) == 1);
    case 1:
      return g_variant_new_byte ((guint8) llm_fuzz_number (in));
    case 2:
      return g_variant_new_int16 ((gint16) llm_fuzz_number (in));
    case 3:
      return g_variant_new_uint16 ((guint16) llm_fuzz_number (in));
    case 4:
      return g_variant_new_int32 ((gint32) llm_fuzz_number (in));
    case 5:
    case 6:
      return g_variant_new_uint32 ((guint32) llm_fuzz_number (in));
    case 7:
      return g_variant_new_int64 ((gint64) llm_fuzz_number (in));
    case 8:
      return g_variant_new_uint64 (llm_fuzz_number (in));
    case 9:
    case 10:
      return g_variant_new_double (llm_fuzz_double (in));
    case 11:
      text = llm_fuzz_text (in);
      return g_variant_new_string (text);
    case 12:
      return make_strings (in);
    case 13:
      return make_biases (in);
    case 14:
      inner = g_variant_take_ref (make_any (in));
      return g_variant_new_variant (inner);
    default:
      return make_any (in);
    }
}

GVariant *
llm_fuzz_dict (LlmReader *in, const char *const *keys)
{
  guint n_keys = g_strv_length ((char **) keys), n = llm_fuzz_choose (in, 12);
  GVariantBuilder b;

  g_variant_builder_init (&b, G_VARIANT_TYPE_VARDICT);
  while (n-- > 0)
    {
      guint which = llm_fuzz_choose (in, 256) % (n_keys + 1);
      g_autofree char *other = which == n_keys ? llm_fuzz_text (in) : NULL;
      g_autoptr (GVariant) value = g_variant_take_ref (make_value (in));

      g_variant_builder_add (&b, "{sv}", other != NULL ? other : keys[which], value);
    }
  return g_variant_ref_sink (g_variant_builder_end (&b));
}

static GVariant *
make_message (LlmReader *in)
{
  static const char *const roles[] = { "user", "assistant", "system", "tool", "" }, *const keys[] = { "role", "content", NULL };
  guint which = llm_fuzz_choose (in, 16);
  g_autofree char *text = NULL;
  GVariantBuilder b;

  if (which == 15)
    return llm_fuzz_dict (in, keys);
  text = llm_fuzz_text (in);
  g_variant_builder_init (&b, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&b, "{sv}", "role", g_variant_new_string (roles[which < 10 ? which % 2 : which % G_N_ELEMENTS (roles)]));
  g_variant_builder_add (&b, "{sv}", "content", g_variant_new_string (text));
  return g_variant_ref_sink (g_variant_builder_end (&b));
}

/* Few, or one so often that there are too many. */
GVariant *
llm_fuzz_messages (LlmReader *in)
{
  guint n = llm_fuzz_choose (in, 256), times = n < 254 ? 1 : LLM_MAX_MESSAGES - 254 + n;
  GVariantBuilder b;

  g_variant_builder_init (&b, G_VARIANT_TYPE ("aa{sv}"));
  for (n = n < 254 ? n % 8 : 1; n > 0; n--)
    {
      g_autoptr (GVariant) message = make_message (in);

      for (guint i = 0; i == 0 || (i < times && i * g_variant_get_size (message) < MOST_MESSAGE_BYTES); i++)
        g_variant_builder_add_value (&b, message);
    }
  return g_variant_ref_sink (g_variant_builder_end (&b));
}
