/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/hash.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#define SHA256_BYTES 32

struct _LlmHash {
  gnutls_hash_hd_t handle;
};

LlmHash *
llm_hash_new (void)
{
  LlmHash *self = g_new0 (LlmHash, 1);

  if (gnutls_hash_init (&self->handle, GNUTLS_DIG_SHA256) < 0)
    g_error ("GnuTLS has no SHA-256");
  return self;
}

void
llm_hash_update (LlmHash *self, const void *bytes, gsize n)
{
  gnutls_hash (self->handle, bytes, n);
}

char *
llm_hash_end (LlmHash *self)
{
  guint8 digest[SHA256_BYTES];
  GString *text = g_string_new ("sha256-");

  gnutls_hash_deinit (self->handle, digest);
  g_free (self);
  for (guint i = 0; i < SHA256_BYTES; i++)
    g_string_append_printf (text, "%02x", digest[i]);
  return g_string_free (text, FALSE);
}

void
llm_hash_free (LlmHash *self)
{
  guint8 digest[SHA256_BYTES];

  gnutls_hash_deinit (self->handle, digest);
  g_free (self);
}
