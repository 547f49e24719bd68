/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tiles are configured at the start of a panel and released at its end: a thread that is put aside between two
 * panels has no 8 KiB of them to save.
 */
#include "compute/cpu/amx.h"

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALWAYS_INLINE inline __attribute__ ((always_inline))
#define TILE_BYTES 64 /* of one row of a tile */

/* Intel SDM vol. 1, 18.2: palette 1, all eight tiles 16 rows of 64 bytes. Constant, because gcc 12 takes the load of a
 * configuration for one of 8 bytes and lets stores to the rest pass it. */
static const struct {
  guint8 palette, start_row, reserved[14];
  guint16 row_bytes[16];
  guint8 rows[16];
} config __attribute__ ((aligned (64))) = {
  .palette = 1, .row_bytes = { 64, 64, 64, 64, 64, 64, 64, 64 }, .rows = { 16, 16, 16, 16, 16, 16, 16, 16 },
};

/* ---- the product ---- */

/* n_a x n_b tiles of sums: 0-3; weights: 4, 5; inputs: 6, 7. */
static ALWAYS_INLINE void
block (const guint16 *w, gsize w_stride, const guint16 *x, gsize x_tile, guint k, float *acc, gsize acc_stride, const gboolean add,
       const guint n_a, const guint n_b)
{
  const gsize w_bytes = w_stride * sizeof *w, acc_bytes = acc_stride * sizeof *acc;
  const guint16 *w1 = w + LLM_AMX_ROWS * w_stride, *x1 = x + x_tile;
  float *acc1 = acc + LLM_AMX_ROWS * acc_stride;

  if (add)
    {
      _tile_loadd (0, acc, acc_bytes);
      if (n_b == 2)
        _tile_loadd (1, acc + LLM_AMX_ROWS, acc_bytes);
      if (n_a == 2)
        _tile_loadd (2, acc1, acc_bytes);
      if (n_a == 2 && n_b == 2)
        _tile_loadd (3, acc1 + LLM_AMX_ROWS, acc_bytes);
    }
  else
    {
      _tile_zero (0);
      _tile_zero (1);
      _tile_zero (2);
      _tile_zero (3);
    }
  for (guint i = 0; i < k; i += LLM_AMX_COLS)
    {
      _tile_loadd (4, w + i, w_bytes);
      _tile_loadd (6, x + (gsize) i * LLM_AMX_ROWS, TILE_BYTES);
      _tile_dpbf16ps (0, 4, 6);
      if (n_b == 2)
        {
          _tile_loadd (7, x1 + (gsize) i * LLM_AMX_ROWS, TILE_BYTES);
          _tile_dpbf16ps (1, 4, 7);
        }
      if (n_a == 2)
        {
          _tile_loadd (5, w1 + i, w_bytes);
          _tile_dpbf16ps (2, 5, 6);
        }
      if (n_a == 2 && n_b == 2)
        _tile_dpbf16ps (3, 5, 7);
    }
  _tile_stored (0, acc, acc_bytes);
  if (n_b == 2)
    _tile_stored (1, acc + LLM_AMX_ROWS, acc_bytes);
  if (n_a == 2)
    _tile_stored (2, acc1, acc_bytes);
  if (n_a == 2 && n_b == 2)
    _tile_stored (3, acc1 + LLM_AMX_ROWS, acc_bytes);
}

/* n_a tiles of weight rows, which stay in the L1 cache while the inputs pass */
static ALWAYS_INLINE void
strip (const guint16 *w, gsize w_stride, const guint16 *x, gsize x_tile, guint n_tiles, guint k, float *acc, gsize acc_stride, gboolean add,
       const guint n_a)
{
  guint t = 0;

  for (; t + 2 <= n_tiles; t += 2)
    block (w, w_stride, x + t * x_tile, x_tile, k, acc + (gsize) t * LLM_AMX_ROWS, acc_stride, add, n_a, 2);
  if (t < n_tiles)
    block (w, w_stride, x + t * x_tile, x_tile, k, acc + (gsize) t * LLM_AMX_ROWS, acc_stride, add, n_a, 1);
}

void
llm_cpu_amx_panel (const guint16 *w, gsize w_stride, guint n_w, const guint16 *x, gsize x_tile, guint n_tiles, guint k, float *acc, gsize acc_stride,
                   gboolean add)
{
  guint n = 0;

  _tile_loadconfig (&config);
  __asm__ volatile ("" ::: "memory"); /* the loads of tiles do not say what they read */
  for (; n + 2 * LLM_AMX_ROWS <= n_w; n += 2 * LLM_AMX_ROWS)
    strip (w + n * w_stride, w_stride, x, x_tile, n_tiles, k, acc + n * acc_stride, acc_stride, add, 2);
  if (n < n_w)
    strip (w + n * w_stride, w_stride, x, x_tile, n_tiles, k, acc + n * acc_stride, acc_stride, add, 1);
  _tile_release ();
}

/* ---- what goes in, and what comes out ---- */

/* 16 x 16 numbers of 32 bits: v[i] becomes what stood in lane i of all. */
static ALWAYS_INLINE void
transpose (__m512i v[16])
{
  __m512i t[16];

  for (guint i = 0; i < 16; i += 4)
    {
      __m512i a = _mm512_unpacklo_epi32 (v[i], v[i + 1]), b = _mm512_unpackhi_epi32 (v[i], v[i + 1]);
      __m512i c = _mm512_unpacklo_epi32 (v[i + 2], v[i + 3]), d = _mm512_unpackhi_epi32 (v[i + 2], v[i + 3]);

      t[i] = _mm512_unpacklo_epi64 (a, c);
      t[i + 1] = _mm512_unpackhi_epi64 (a, c);
      t[i + 2] = _mm512_unpacklo_epi64 (b, d);
      t[i + 3] = _mm512_unpackhi_epi64 (b, d);
    }
  /* t[4 i + j] holds, for rows 4 i to 4 i + 3, columns j, 4 + j, 8 + j, 12 + j */
  for (guint j = 0; j < 4; j++)
    {
      __m512i a = _mm512_shuffle_i32x4 (t[j], t[4 + j], 0x44), b = _mm512_shuffle_i32x4 (t[j], t[4 + j], 0xee);
      __m512i c = _mm512_shuffle_i32x4 (t[8 + j], t[12 + j], 0x44), d = _mm512_shuffle_i32x4 (t[8 + j], t[12 + j], 0xee);

      v[j] = _mm512_shuffle_i32x4 (a, c, 0x88);
      v[4 + j] = _mm512_shuffle_i32x4 (a, c, 0xdd);
      v[8 + j] = _mm512_shuffle_i32x4 (b, d, 0x88);
      v[12 + j] = _mm512_shuffle_i32x4 (b, d, 0xdd);
    }
}

#define PACK_COLS 512

/* Row by row first: sixteen rows at once, far apart, would fall on the same few sets of the cache. */
void
llm_cpu_amx_pack (const float *const *x, guint n_rows, guint first, guint n_cols, guint16 *lanes)
{
  guint16 rows[LLM_AMX_ROWS][PACK_COLS + LLM_AMX_COLS] __attribute__ ((aligned (64)));

  for (guint at = 0; at < n_cols; at += PACK_COLS)
    {
      guint cols = MIN (PACK_COLS, n_cols - at);

      for (guint r = 0; r < LLM_AMX_ROWS; r++)
        for (guint i = 0; i < cols; i += LLM_AMX_COLS)
          {
            const float *from = x[MIN (r, n_rows - 1)] + first + at + i;
            __m512i both = (__m512i) _mm512_cvtne2ps_pbh (_mm512_loadu_ps (from + 16), _mm512_loadu_ps (from));

            _mm512_store_si512 (rows[r] + i, r < n_rows ? both : _mm512_setzero_si512 ());
          }
      for (guint i = 0; i < cols; i += LLM_AMX_COLS, lanes += LLM_AMX_COLS * LLM_AMX_ROWS)
        {
          __m512i v[LLM_AMX_ROWS];

          for (guint r = 0; r < LLM_AMX_ROWS; r++)
            v[r] = _mm512_load_si512 (rows[r] + i);
          transpose (v);
          for (guint p = 0; p < LLM_AMX_COLS / 2; p++)
            _mm512_storeu_si512 (lanes + p * 2 * LLM_AMX_ROWS, v[p]);
        }
    }
}

void
llm_cpu_amx_store (const float *acc, gsize acc_stride, guint n_w, guint n_x, float *const *y, gsize first)
{
  for (guint r = 0; r < n_x; r += LLM_AMX_ROWS)
    for (guint n = 0; n < n_w; n += LLM_AMX_ROWS)
      {
        __mmask16 there = (__mmask16) (0xffff >> (LLM_AMX_ROWS - MIN (LLM_AMX_ROWS, n_w - n)));
        __m512i v[LLM_AMX_ROWS];

        for (guint i = 0; i < LLM_AMX_ROWS; i++)
          v[i] = _mm512_loadu_si512 (acc + (n + i) * acc_stride + r);
        transpose (v);
        for (guint i = 0; i < MIN (LLM_AMX_ROWS, n_x - r); i++)
          _mm512_mask_storeu_epi32 (y[r + i] + first + n, there, v[i]);
      }
}

static ALWAYS_INLINE __m512
sixteen (const LlmUnpacked *columns, guint i)
{
  __m512 q = _mm512_cvtepi32_ps (_mm512_cvtepu8_epi32 (_mm_loadu_si128 ((const __m128i *) (gconstpointer) (columns->q + i))));

  return _mm512_fmsub_ps (_mm512_set1_ps (columns->scale[i / 16]), q, _mm512_set1_ps (columns->offset[i / 16]));
}

void
llm_cpu_amx_convert (const LlmUnpacked *columns, guint n, guint16 *w)
{
  for (guint i = 0; i < n; i += LLM_AMX_COLS)
    _mm512_storeu_si512 (w + i, (__m512i) _mm512_cvtne2ps_pbh (sixteen (columns, i + 16), sixteen (columns, i)));
}

const LlmCpuTiles llm_cpu_amx_tiles = { llm_cpu_amx_pack, llm_cpu_amx_convert, llm_cpu_amx_panel, llm_cpu_amx_store };

/* ---- may it be used ---- */

static gboolean
cpu_has_it (void)
{
  const guint tile_state = 3 << 17, osxsave = 1 << 27, amx = 1 << 24 | 1 << 22, avx512_bf16 = 1 << 5; /* compilers differ in the names */
  guint a, b, c, d, low, high;

  if (!__get_cpuid (1, &a, &b, &c, &d) || (c & osxsave) == 0)
    return FALSE;
  __asm__ volatile ("xgetbv" : "=a" (low), "=d" (high) : "c" (0));
  if ((low & tile_state) != tile_state || !__get_cpuid_count (7, 0, &a, &b, &c, &d) || (d & amx) != amx)
    return FALSE;
  return __get_cpuid_count (7, 1, &a, &b, &c, &d) && (a & avx512_bf16) != 0 && __builtin_cpu_supports ("avx512f")
         && __builtin_cpu_supports ("avx512bw") && __builtin_cpu_supports ("avx512vl") && __builtin_cpu_supports ("avx512vnni");
}

/* Linux, Documentation/arch/x86/xstate.rst */
static gboolean
ask_for_tiles (void)
{
  const int arch_req_xcomp_perm = 0x1023, xfeature_tiledata = 18;

  return syscall (SYS_arch_prctl, arch_req_xcomp_perm, xfeature_tiledata) == 0;
}

/* Small whole numbers, so that every sum is exact. */
gboolean
llm_cpu_amx_right (void)
{
  enum { N = 48, R = 35, K = 64, TILES = 3, LANES = TILES * LLM_AMX_ROWS };
  g_autofree float *x = g_new (float, R * K), *acc = g_new (float, N * LANES);
  g_autofree guint16 *lanes = g_new (guint16, LANES * K), *w = g_new (guint16, N * K);
  const float *row[LLM_AMX_ROWS];
  LlmUnpacked columns;
  gboolean right = TRUE;

  for (guint i = 0; i < R * K; i++)
    x[i] = (float) (i * 7 % 23) - 11;
  for (guint t = 0; t < TILES; t++)
    {
      for (guint r = 0; r < LLM_AMX_ROWS; r++)
        row[r] = x + MIN (t * LLM_AMX_ROWS + r, R - 1) * K;
      llm_cpu_amx_pack (row, MIN (LLM_AMX_ROWS, R - t * LLM_AMX_ROWS), 0, K, lanes + t * LLM_AMX_ROWS * K);
    }
  for (guint n = 0; n < N; n++)
    {
      for (guint i = 0; i < K; i++)
        {
          columns.q[i] = (guint8) ((n * 5 + i * 3) % 19);
          columns.scale[i / 16] = (float) (1 + n % 3);
          columns.offset[i / 16] = (float) (i / 16);
        }
      llm_cpu_amx_convert (&columns, K, w + n * K);
      for (guint r = 0; r < LANES; r++)
        acc[n * LANES + r] = (float) n;
    }
  llm_cpu_amx_panel (w, K, N, lanes, LLM_AMX_ROWS * K, TILES, K, acc, LANES, TRUE);
  for (guint n = 0; n < N; n++)
    for (guint r = 0; r < LANES; r++)
      {
        float sum = (float) n;

        for (guint i = 0; i < K && r < R; i++)
          sum += ((float) ((1 + n % 3) * ((n * 5 + i * 3) % 19)) - (float) (i / 16)) * x[r * K + i];
        right = right && acc[n * LANES + r] == sum;
      }
  return right;
}

static gpointer
decide (gpointer unused)
{
  if (!cpu_has_it () || !ask_for_tiles ())
    return GINT_TO_POINTER (FALSE);
  if (llm_cpu_amx_right ())
    return GINT_TO_POINTER (TRUE);
  g_warning ("AMX is left unused: a product of this CPU came out wrong");
  return GINT_TO_POINTER (FALSE);
}

gboolean
llm_cpu_amx_usable (void)
{
  static GOnce once = G_ONCE_INIT;

  return GPOINTER_TO_INT (g_once (&once, decide, NULL));
}
