/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cache folder of its own, and a kind whose payload says what it was made from.
 */
#pragma once

#include "cache/cache.h"

typedef struct {
  char *root;   /* $CACHE */
  int folder;   /* of the build ENGINE in it */
  LlmCache *cache;
} CacheFixture;

/* What a maker gets: how often it is called, what it makes, and whether it fails or dawdles. */
typedef struct {
  gint calls;      /* atomic */
  const char *text;
  gsize size;      /* of the payload: @text again and again */
  gboolean fails;
  gint *hold;      /* nullable: waits until it is no longer 0 */
} Making;

#define ENGINE "v1.2.3-0123456789abcdef"
#define DEVICE "00000000-a-driver"

extern const LlmCacheKind test_kind;

void cache_fixture_set_up (CacheFixture *f, gconstpointer data);
void cache_fixture_tear_down (CacheFixture *f, gconstpointer data);
/* A new start of the same engine, or of another one: the memory tier is empty. */
void cache_fixture_restart (CacheFixture *f, const char *engine);
LlmCacheKey *cache_fixture_key (const char *model);
/* Asserts that the artifact of @model comes out, whole. */
void cache_fixture_get (CacheFixture *f, const char *model, Making *making);
/* One of the kind's counters. */
guint64 cache_fixture_count (LlmCache *cache, const char *counter);
/* Names in the folder and below it, sorted; a device's with its folder. (transfer full) */
GPtrArray *cache_fixture_files (CacheFixture *f);
/* The path of @model's file. (transfer full) */
char *cache_fixture_path (CacheFixture *f, const char *model);
void cache_fixture_remove (const char *path);
