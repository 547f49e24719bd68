/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "compute/cpu/kernels.h"

/* best first */
static const LlmCpuKernels *const all[] = {
#ifdef __x86_64__
  &llm_cpu_amx,
  &llm_cpu_avx512_vnni,
  &llm_cpu_avx_vnni,
  &llm_cpu_avx2,
#endif
  &llm_cpu_scalar,
};

gboolean (*llm_cpu_isa_emulated) (const char *name);

static gboolean
usable (const LlmCpuKernels *kernels)
{
  return kernels->usable () || (llm_cpu_isa_emulated != NULL && llm_cpu_isa_emulated (kernels->name));
}

const LlmCpuKernels *
llm_cpu_kernels_find (const char *name, GError **error)
{
  g_autoptr (GString) names = g_string_new (NULL);

  if (name == NULL || name[0] == '\0')
    name = g_getenv ("LLM_CPU_ISA");
  for (gsize i = 0; i < G_N_ELEMENTS (all); i++)
    if (usable (all[i]))
      {
        if (name == NULL || name[0] == '\0' || strcmp (name, all[i]->name) == 0)
          return all[i];
        g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", all[i]->name);
      }
  g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "this CPU has no kernels called \"%.32s\"; it has %s", name, names->str);
  return NULL;
}
