/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * llmctl: one function per command. Exit status 0, 1 (the service said no), 2 (wrong usage).
 */
#pragma once

#include "client/client.h"

typedef struct {
  gboolean session;
  GCancellable *cancellable; /* Ctrl-C */
} LlmCtl;

/* argv[0] is the command. */
typedef int (*LlmCtlCommand) (LlmCtl *ctl, int argc, char **argv);

int llmctl_list (LlmCtl *ctl, int argc, char **argv);
int llmctl_show (LlmCtl *ctl, int argc, char **argv);
int llmctl_import (LlmCtl *ctl, int argc, char **argv);
int llmctl_verify (LlmCtl *ctl, int argc, char **argv);
int llmctl_pin (LlmCtl *ctl, int argc, char **argv);
int llmctl_unpin (LlmCtl *ctl, int argc, char **argv);
int llmctl_alias (LlmCtl *ctl, int argc, char **argv);
int llmctl_delete (LlmCtl *ctl, int argc, char **argv);
int llmctl_run (LlmCtl *ctl, int argc, char **argv);
int llmctl_embed (LlmCtl *ctl, int argc, char **argv);
int llmctl_ps (LlmCtl *ctl, int argc, char **argv);
int llmctl_config (LlmCtl *ctl, int argc, char **argv);
int llmctl_gc (LlmCtl *ctl, int argc, char **argv);
int llmctl_stats (LlmCtl *ctl, int argc, char **argv);
int llmctl_status (LlmCtl *ctl, int argc, char **argv);

/* The connection; complains and returns NULL when there is none. */
LlmClient *llmctl_connect (LlmCtl *ctl);
/* Prints "llmctl: MESSAGE"; returns 1. */
int llmctl_fail (const GError *error);
/* Of a GPtrArray of strings. */
gint llmctl_by_name (gconstpointer a, gconstpointer b);
/* GetStatistics: a{sv} of its groups. (transfer full) */
GVariant *llmctl_statistics (LlmClient *client, GError **error);
/* a(osa{sv}) of ListModels, or NULL. (transfer full) */
GVariant *llmctl_list_models (LlmClient *client, GError **error);
/* An LlmClientProgress: a bar, on a terminal; and the end of its line. */
void llmctl_show_progress (const char *phase, guint64 done, guint64 total, gpointer user_data);
void llmctl_end_progress (void);
/* Parses a command's own options; argv keeps the operands. FALSE: complained. */
gboolean llmctl_parse (const char *command, const char *operands, const char *summary, const GOptionEntry *entries, int *argc, char ***argv);
