/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See artifact.h. */
#include "cache/artifact.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/checked.h"
#include "base/limits.h"

/* ---- in memory ---- */

struct _LlmArtifact {
  gatomicrefcount refs;
  GBytes *bytes; /* (owned) or a mapped file: */
  gpointer map;
  gsize map_size;
  gconstpointer data;
  gsize size;
};

LlmArtifact *
llm_artifact_new (GBytes *bytes)
{
  LlmArtifact *self = g_new0 (LlmArtifact, 1);

  g_atomic_ref_count_init (&self->refs);
  self->bytes = bytes;
  self->data = g_bytes_get_data (bytes, &self->size);
  return self;
}

LlmArtifact *
llm_artifact_ref (LlmArtifact *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
llm_artifact_unref (LlmArtifact *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_clear_pointer (&self->bytes, g_bytes_unref);
  if (self->map != NULL)
    munmap (self->map, self->map_size);
  g_free (self);
}

gconstpointer
llm_artifact_data (const LlmArtifact *self, gsize *size)
{
  *size = self->size;
  return self->data;
}

gboolean
llm_artifact_is_shared (const LlmArtifact *self)
{
  return !g_atomic_ref_count_compare ((gatomicrefcount *) &self->refs, 1);
}

const char *
llm_miss_name (LlmMiss miss)
{
  static const char *const names[] = { "absent", "version", "damaged", "foreign", "unreadable", "hit", "not looked" };

  return names[miss];
}

/* ---- as a file ---- */

#define FORMAT 1
#define ALIGN 64

typedef struct {
  char magic[8];
  guint64 checksum[2]; /* of what follows */
  guint64 total;       /* bytes of the file */
  guint32 format;      /* from here on a format may differ */
  guint32 identity_size, key_size, zero;
  guint64 payload_at, payload_size;
} Header;

G_STATIC_ASSERT (sizeof (Header) == ALIGN);

#define SUMMED_FROM G_STRUCT_OFFSET (Header, total)

static const char magic[8] = "LLMCACHE";

GByteArray *
llm_artifact_header (const LlmArtifactLabel *label, const void *payload, gsize n)
{
  guint64 size = sizeof (Header) + strlen (label->identity) + strlen (label->key), at;
  GByteArray *out;
  Header *header;
  XXH3_state_t *state;
  XXH128_hash_t sum;

  if (!llm_align_u64 (size, ALIGN, &at) || at > LLM_CACHE_MAX_LABEL_BYTES || n > LLM_CACHE_MAX_PAYLOAD_BYTES)
    return NULL;
  out = g_byte_array_set_size (g_byte_array_new (), (guint) at);
  memset (out->data, 0, at);
  header = (Header *) (gpointer) out->data;
  memcpy (header->magic, magic, sizeof magic);
  header->total = at + n;
  header->format = FORMAT;
  header->identity_size = (guint32) strlen (label->identity);
  header->key_size = (guint32) strlen (label->key);
  header->payload_at = at;
  header->payload_size = n;
  memcpy (header + 1, label->identity, header->identity_size);
  memcpy ((char *) (header + 1) + header->identity_size, label->key, header->key_size);
  state = XXH3_createState ();
  XXH3_128bits_reset (state);
  XXH3_128bits_update (state, out->data + SUMMED_FROM, at - SUMMED_FROM);
  XXH3_128bits_update (state, payload, n);
  sum = XXH3_128bits_digest (state);
  XXH3_freeState (state);
  header->checksum[0] = sum.low64;
  header->checksum[1] = sum.high64;
  return out;
}

/* By read(): a disk that fails is an error then, where a mapping would end the process. */
static gboolean
read_at (int fd, void *out, gsize n, guint64 at, LlmMiss *miss)
{
  while (n > 0)
    {
      gssize got = pread (fd, out, n, (off_t) at);

      if (got < 0 && errno == EINTR)
        continue;
      if (got <= 0)
        {
          *miss = got < 0 ? LLM_MISS_UNREADABLE : LLM_MISS_DAMAGED;
          return FALSE;
        }
      out = (guint8 *) out + got;
      n -= (gsize) got;
      at += (guint64) got;
    }
  return TRUE;
}

#define SLICE (64 * 1024) /* hashed while it is in the L2 cache */

static gboolean
sum_is_right (int fd, const Header *header, LlmMiss *miss)
{
  g_autofree guint8 *slice = g_malloc (SLICE);
  XXH3_state_t *state = XXH3_createState ();
  XXH128_hash_t sum;
  gboolean ok = TRUE;

  XXH3_128bits_reset (state);
  for (guint64 at = SUMMED_FROM; at < header->total && ok;)
    {
      gsize n = MIN (SLICE, header->total - at);

      ok = read_at (fd, slice, n, at, miss);
      if (ok)
        XXH3_128bits_update (state, slice, n);
      at += n;
    }
  sum = XXH3_128bits_digest (state);
  XXH3_freeState (state);
  *miss = ok ? LLM_MISS_DAMAGED : *miss;
  return ok && sum.low64 == header->checksum[0] && sum.high64 == header->checksum[1];
}

static gboolean
lengths_agree (const Header *header)
{
  guint64 labels = sizeof (Header) + (guint64) header->identity_size + header->key_size, at, end;

  return llm_align_u64 (labels, ALIGN, &at) && at == header->payload_at && at <= LLM_CACHE_MAX_LABEL_BYTES
         && llm_add_u64 (at, header->payload_size, &end) && end == header->total;
}

static gboolean
text_is (const char *text, gsize n, const char *wanted)
{
  return n == strlen (wanted) && memcmp (text, wanted, n) == 0;
}

static LlmMiss
compare_labels (int fd, const Header *header, const LlmArtifactLabel *label)
{
  gsize n = header->identity_size + header->key_size;
  g_autofree char *texts = g_malloc (n + 1);
  LlmMiss miss;

  if (!read_at (fd, texts, n, sizeof *header, &miss))
    return miss;
  if (!text_is (texts, header->identity_size, label->identity))
    return LLM_MISS_VERSION;
  return text_is (texts + header->identity_size, header->key_size, label->key) ? LLM_HIT : LLM_MISS_FOREIGN;
}

LlmMiss
llm_artifact_examine (int fd, const LlmArtifactLabel *label, gsize *payload_at, gsize *payload_size)
{
  struct stat st;
  Header header;
  LlmMiss miss = LLM_MISS_DAMAGED;

  if (fstat (fd, &st) < 0)
    return LLM_MISS_UNREADABLE;
  if (!S_ISREG (st.st_mode))
    return LLM_MISS_FOREIGN;
  if (!read_at (fd, &header, sizeof header, 0, &miss))
    return miss;
  if (memcmp (header.magic, magic, sizeof magic) != 0 || header.total != (guint64) st.st_size || header.total < sizeof header
      || header.total > LLM_CACHE_MAX_LABEL_BYTES + LLM_CACHE_MAX_PAYLOAD_BYTES || !sum_is_right (fd, &header, &miss))
    return miss;
  if (header.format != FORMAT)
    return LLM_MISS_VERSION;
  if (!lengths_agree (&header))
    return LLM_MISS_DAMAGED;
  miss = compare_labels (fd, &header, label);
  if (miss == LLM_HIT)
    {
      *payload_at = header.payload_at;
      *payload_size = header.payload_size;
    }
  return miss;
}

LlmArtifact *
llm_artifact_map (int fd, gsize payload_at, gsize payload_size)
{
  LlmArtifact *self;
  gpointer map = mmap (NULL, payload_at + payload_size, PROT_READ, MAP_PRIVATE, fd, 0);

  if (map == MAP_FAILED)
    return NULL;
  self = g_new0 (LlmArtifact, 1);
  g_atomic_ref_count_init (&self->refs);
  self->map = map;
  self->map_size = payload_at + payload_size;
  self->data = (const guint8 *) map + payload_at;
  self->size = payload_size;
  return self;
}
