/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See artifact.h. */
#include "cache/artifact.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h> /* the widest vectors there are; the same sums */
#else
#include <xxhash.h>
#endif

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

/* The whole file by read(), where the kernel cannot say beforehand whether a mapping is all there. */
static guint8 *
read_whole (int fd, gsize size, LlmMiss *miss)
{
  guint8 *bytes = g_try_malloc (size);
  gsize at = 0;

  *miss = LLM_MISS_UNREADABLE;
  while (bytes != NULL && at < size)
    {
      gssize got = pread (fd, bytes + at, size - at, (off_t) at);

      if (got < 0 && errno == EINTR)
        continue;
      if (got <= 0)
        {
          *miss = got < 0 ? LLM_MISS_UNREADABLE : LLM_MISS_DAMAGED;
          g_clear_pointer (&bytes, g_free);
        }
      else
        at += (gsize) got;
    }
  return bytes;
}

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

/* Every page of it is there then: a disk that fails is an error here, where a plain mapping would end the process later. */
static guint8 *
map_whole (int fd, gsize size, gboolean *is_mapped, LlmMiss *miss)
{
  guint8 *map = mmap (NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

  *is_mapped = map != MAP_FAILED && madvise (map, size, MADV_POPULATE_READ) == 0;
  if (*is_mapped)
    return map;
  if (map != MAP_FAILED)
    munmap (map, size);
  return read_whole (fd, size, miss);
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

/* What is wrong with the file @header[0..total), or LLM_HIT. */
static LlmMiss
examine (const Header *header, const LlmArtifactLabel *label)
{
  XXH128_hash_t sum = XXH3_128bits ((const guint8 *) header + SUMMED_FROM, header->total - SUMMED_FROM);
  const char *texts = (const char *) (header + 1);

  if (sum.low64 != header->checksum[0] || sum.high64 != header->checksum[1])
    return LLM_MISS_DAMAGED;
  if (header->format != FORMAT)
    return LLM_MISS_VERSION;
  if (!lengths_agree (header))
    return LLM_MISS_DAMAGED;
  if (!text_is (texts, header->identity_size, label->identity))
    return LLM_MISS_VERSION;
  return text_is (texts + header->identity_size, header->key_size, label->key) ? LLM_HIT : LLM_MISS_FOREIGN;
}

/* The size, if the file begins like one. */
static LlmMiss
look_at_head (int fd, gsize *size)
{
  struct stat st;
  Header header;

  if (fstat (fd, &st) < 0)
    return LLM_MISS_UNREADABLE;
  if (!S_ISREG (st.st_mode))
    return LLM_MISS_FOREIGN;
  if (pread (fd, &header, sizeof header, 0) != sizeof header)
    return st.st_size < (off_t) sizeof header ? LLM_MISS_DAMAGED : LLM_MISS_UNREADABLE;
  *size = header.total;
  return memcmp (header.magic, magic, sizeof magic) == 0 && header.total == (guint64) st.st_size
           && header.total <= LLM_CACHE_MAX_LABEL_BYTES + LLM_CACHE_MAX_PAYLOAD_BYTES
         ? LLM_HIT
         : LLM_MISS_DAMAGED;
}

LlmArtifact *
llm_artifact_open (int fd, const LlmArtifactLabel *label, LlmMiss *miss)
{
  LlmArtifact *self;
  const Header *header;
  gboolean is_mapped;
  gsize size = 0;
  guint8 *bytes;

  *miss = look_at_head (fd, &size);
  bytes = *miss == LLM_HIT ? map_whole (fd, size, &is_mapped, miss) : NULL;
  if (bytes == NULL)
    return NULL;
  header = (const Header *) (gconstpointer) bytes;
  /* nobody writes to a file in place; one who does is not to move the length under us */
  *miss = header->total == size ? examine (header, label) : LLM_MISS_DAMAGED;
  self = g_new0 (LlmArtifact, 1);
  g_atomic_ref_count_init (&self->refs);
  if (is_mapped)
    {
      self->map = bytes;
      self->map_size = size;
    }
  else
    self->bytes = g_bytes_new_take (bytes, size);
  if (*miss != LLM_HIT)
    {
      llm_artifact_unref (self);
      return NULL;
    }
  self->data = bytes + header->payload_at;
  self->size = header->payload_size;
  return self;
}
