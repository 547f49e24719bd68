/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See build-id.h; the layout is that of elf(5). */
#include "base/build-id.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#define DIGITS 32

static char *
hex (const guint8 *bytes, gsize n)
{
  GString *text = g_string_new (NULL);

  for (gsize i = 0; i < MIN (n, DIGITS / 2); i++)
    g_string_append_printf (text, "%02x", bytes[i]);
  return g_string_free (text, FALSE);
}

/* The note in @bytes[0..n), or NULL. */
static char *
find_in_notes (const guint8 *bytes, gsize n)
{
  ElfW (Nhdr) note;

  while (n >= sizeof note)
    {
      gsize name, text;

      memcpy (&note, bytes, sizeof note);
      name = ((gsize) note.n_namesz + 3) & ~(gsize) 3;
      text = ((gsize) note.n_descsz + 3) & ~(gsize) 3;
      if (name > n - sizeof note || text > n - sizeof note - name)
        return NULL;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp (bytes + sizeof note, "GNU", 4) == 0 && note.n_descsz >= DIGITS / 2)
        return hex (bytes + sizeof note + name, note.n_descsz);
      bytes += sizeof note + name + text;
      n -= sizeof note + name + text;
    }
  return NULL;
}

static char *
find_in_program (const guint8 *bytes, gsize n)
{
  ElfW (Ehdr) header;
  ElfW (Phdr) part;
  char *found = NULL;

  if (n < sizeof header || memcmp (bytes, ELFMAG, SELFMAG) != 0)
    return NULL;
  memcpy (&header, bytes, sizeof header);
  if (header.e_phentsize != sizeof part || header.e_phoff > n || (n - header.e_phoff) / sizeof part < header.e_phnum)
    return NULL;
  for (guint i = 0; i < header.e_phnum && found == NULL; i++)
    {
      memcpy (&part, bytes + header.e_phoff + i * sizeof part, sizeof part);
      if (part.p_type == PT_NOTE && part.p_offset <= n && part.p_filesz <= n - part.p_offset)
        found = find_in_notes (bytes + part.p_offset, part.p_filesz);
    }
  return found;
}

char *
llm_build_id_of_file (const char *path)
{
  g_autoptr (GMappedFile) map = g_mapped_file_new (path, FALSE, NULL);
  const guint8 *bytes = map != NULL ? (const guint8 *) g_mapped_file_get_contents (map) : NULL;
  gsize n = map != NULL ? g_mapped_file_get_length (map) : 0;
  char *id;

  if (map == NULL)
    return NULL;
  id = find_in_program (bytes, n);
  if (id == NULL)
    {
      id = g_compute_checksum_for_data (G_CHECKSUM_SHA256, bytes, n);
      id[DIGITS] = '\0';
    }
  return id;
}
