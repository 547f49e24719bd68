/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A kernel before Linux 5.14, which cannot say whether all of a mapping is there: files are read then. Linked with --wrap=madvise. */
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

int __wrap_madvise (void *address, size_t n, int advice);

int
__wrap_madvise (void *address, size_t n, int advice)
{
  (void) address;
  (void) n;
  (void) advice;
  errno = EINVAL;
  return -1;
}
