/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Enough independent sums to hide the latency of a multiply-add (4 or 5 cycles, two a cycle).  The
 * empty assembly makes the compiler believe that an operand has changed, so that no product is taken
 * out of the loop.
 */
#include "bench/bench-peaks.h"

#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define N_SUMS 12
#define CHANGED(v) __asm__ volatile ("" : "+x"(v))

/* What the compiler makes of plain C: lanes of 16 bytes or one number at a time. */
static void
int8_generic (guint n_steps)
{
  gint32 sum[32] = { 0 };
  gint8 a[32], b[32];

  memset (a, 3, sizeof a);
  memset (b, 5, sizeof b);
  for (guint s = 0; s < n_steps; s++)
    {
      __asm__ volatile ("" : : "r"(a), "r"(b) : "memory");
      for (int i = 0; i < 32; i++)
        sum[i] += (gint32) a[i] * b[i];
    }
  __asm__ volatile ("" : : "r"(sum) : "memory");
}

static void
f32_generic (guint n_steps)
{
  float sum[32] = { 0 }, a = 1, b = 1e-3f;

  for (guint s = 0; s < n_steps; s++)
    {
      __asm__ volatile ("" : "+r"(n_steps));
      for (int i = 0; i < 32; i++)
        sum[i] = sum[i] * a + b;
    }
  __asm__ volatile ("" : : "r"(sum) : "memory");
}

#ifdef __x86_64__
/* vpmaddubsw, vpmaddwd, vpaddd: 32 products. */
__attribute__ ((target ("avx2"))) static void
int8_avx2 (guint n_steps)
{
  __m256i sum[N_SUMS], a = _mm256_set1_epi8 (3), b = _mm256_set1_epi8 (5), one = _mm256_set1_epi16 (1);

  for (int i = 0; i < N_SUMS; i++)
    sum[i] = _mm256_setzero_si256 ();
  for (guint s = 0; s < n_steps; s++)
#pragma GCC unroll 12
    for (int i = 0; i < N_SUMS; i++)
      {
        CHANGED (a);
        sum[i] = _mm256_add_epi32 (sum[i], _mm256_madd_epi16 (_mm256_maddubs_epi16 (a, b), one));
      }
  for (int i = 0; i < N_SUMS; i++)
    CHANGED (sum[i]);
}

__attribute__ ((target ("avx2,fma"))) static void
f32_avx2 (guint n_steps)
{
  __m256 sum[N_SUMS], a = _mm256_set1_ps (1), b = _mm256_set1_ps (1e-3f);

  for (int i = 0; i < N_SUMS; i++)
    sum[i] = _mm256_setzero_ps ();
  for (guint s = 0; s < n_steps; s++)
#pragma GCC unroll 12
    for (int i = 0; i < N_SUMS; i++)
      sum[i] = _mm256_fmadd_ps (a, b, sum[i]);
  for (int i = 0; i < N_SUMS; i++)
    CHANGED (sum[i]);
}

/* vpdpbusd: 64 products. */
__attribute__ ((target ("avx512f,avx512vnni"))) static void
int8_avx512_vnni (guint n_steps)
{
  __m512i sum[N_SUMS], a = _mm512_set1_epi32 (0x03030303), b = _mm512_set1_epi32 (0x05050505);

  for (int i = 0; i < N_SUMS; i++)
    sum[i] = _mm512_setzero_si512 ();
  for (guint s = 0; s < n_steps; s++)
#pragma GCC unroll 12
    for (int i = 0; i < N_SUMS; i++)
      sum[i] = _mm512_dpbusd_epi32 (sum[i], a, b);
  for (int i = 0; i < N_SUMS; i++)
    __asm__ volatile ("" : "+v"(sum[i]));
}

__attribute__ ((target ("avx512f"))) static void
f32_avx512 (guint n_steps)
{
  __m512 sum[N_SUMS], a = _mm512_set1_ps (1), b = _mm512_set1_ps (1e-3f);

  for (int i = 0; i < N_SUMS; i++)
    sum[i] = _mm512_setzero_ps ();
  for (guint s = 0; s < n_steps; s++)
#pragma GCC unroll 12
    for (int i = 0; i < N_SUMS; i++)
      sum[i] = _mm512_fmadd_ps (a, b, sum[i]);
  for (int i = 0; i < N_SUMS; i++)
    __asm__ volatile ("" : "+v"(sum[i]));
}

/* vpdpbusd of 32 bytes: 32 products. */
__attribute__ ((target ("avx2,avxvnni"))) static void
int8_avx_vnni (guint n_steps)
{
  __m256i sum[N_SUMS], a = _mm256_set1_epi32 (0x03030303), b = _mm256_set1_epi32 (0x05050505);

  for (int i = 0; i < N_SUMS; i++)
    sum[i] = _mm256_setzero_si256 ();
  for (guint s = 0; s < n_steps; s++)
#pragma GCC unroll 12
    for (int i = 0; i < N_SUMS; i++)
      sum[i] = _mm256_dpbusd_avx_epi32 (sum[i], a, b);
  for (int i = 0; i < N_SUMS; i++)
    CHANGED (sum[i]);
}

#define TILE_BYTES 1024
#define TILE_PRODUCTS (16 * 16 * 32) /* of bf16, in one instruction */

typedef struct {
  guint8 palette, start_row, reserved[14];
  guint16 row_bytes[16];
  guint8 rows[16];
} TileConfig;

/* Four sums, two tiles of each operand, all from L1. The engine makes bf16 of every type of weights here. */
__attribute__ ((target ("amx-tile,amx-bf16"))) static void
bf16_amx (guint n_steps)
{
  guint8 tile[TILE_BYTES] __attribute__ ((aligned (64)));
  TileConfig config __attribute__ ((aligned (64))) = { .palette = 1 };

  memset (tile, 0, sizeof tile);
  for (int i = 0; i < 8; i++)
    {
      config.row_bytes[i] = 64;
      config.rows[i] = 16;
    }
  __asm__ volatile ("" : : "r"(&config), "r"(tile) : "memory"); /* gcc 12 moves stores past the configuration */
  _tile_loadconfig (&config);
  _tile_zero (0);
  _tile_zero (1);
  _tile_zero (2);
  _tile_zero (3);
  for (guint s = 0; s < n_steps; s += 64) /* one is worth many steps of the others */
    {
      _tile_loadd (4, tile, 64);
      _tile_loadd (5, tile, 64);
      _tile_loadd (6, tile, 64);
      _tile_loadd (7, tile, 64);
      _tile_dpbf16ps (0, 4, 6);
      _tile_dpbf16ps (1, 4, 7);
      _tile_dpbf16ps (2, 5, 6);
      _tile_dpbf16ps (3, 5, 7);
    }
  _tile_release ();
}

static gboolean
has_avx512_vnni (void)
{
  return __builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512vnni");
}

static gboolean
has_avx2 (void)
{
  return __builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma");
}

static gboolean
has_avx_vnni (void)
{
  guint a, b, c, d;

  return has_avx2 () && __get_cpuid_count (7, 1, &a, &b, &c, &d) && (a & 1u << 4) != 0;
}

/* Tiles and bf16 in them, and the kernel's leave to use them. */
static gboolean
has_amx (void)
{
  const long request_permission = 0x1023, tile_data = 18;
  const guint wanted = 1u << 22 | 1u << 24;
  guint a, b, c, d;

  return has_avx512_vnni () && __get_cpuid_count (7, 0, &a, &b, &c, &d) && (d & wanted) == wanted
         && syscall (SYS_arch_prctl, request_permission, tile_data) == 0;
}
#endif

static gboolean
always (void)
{
  return TRUE;
}

/* best first */
static const struct {
  gboolean (*usable) (void);
  LlmBenchPeaks peaks;
} all[] = {
#ifdef __x86_64__
  { has_amx, { "amx", { bf16_amx, TILE_PRODUCTS * 4 * 2 / 64 }, { bf16_amx, TILE_PRODUCTS * 4 * 2 / 64 } } },
  { has_avx512_vnni, { "avx512-vnni", { int8_avx512_vnni, N_SUMS * 64 * 2 }, { f32_avx512, N_SUMS * 16 * 2 } } },
  { has_avx_vnni, { "avx-vnni", { int8_avx_vnni, N_SUMS * 32 * 2 }, { f32_avx2, N_SUMS * 8 * 2 } } },
  { has_avx2, { "avx2", { int8_avx2, N_SUMS * 32 * 2 }, { f32_avx2, N_SUMS * 8 * 2 } } },
#endif
  { always, { "scalar", { int8_generic, 32 * 2 }, { f32_generic, 32 * 2 } } },
};

const LlmBenchPeaks *
llm_bench_peaks_find (const char *isa)
{
  const LlmBenchPeaks *best = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (all); i++)
    if (all[i].usable ())
      {
        if (g_strcmp0 (isa, all[i].peaks.isa) == 0)
          return &all[i].peaks;
        if (best == NULL)
          best = &all[i].peaks;
      }
  return best;
}
