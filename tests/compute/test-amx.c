/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The AMX panel and what prepares its operands, against sums in double; emulated where the CPU has no tiles.
 */
#include <math.h>
#include <string.h>

#include "compute/cpu/amx.h"
#include "compute/isa-emulator.h"
#include "format/random-blocks.h"

static float
from_bf16 (guint16 h)
{
  guint32 bits = (guint32) h << 16;
  float f;

  memcpy (&f, &bits, sizeof f);
  return f;
}

/* To nearest, halves to even. */
static guint16
to_bf16 (float f)
{
  guint32 bits;

  memcpy (&bits, &f, sizeof bits);
  if ((bits & 0x7f800000) == 0)
    return (guint16) (bits >> 16 & 0x8000);
  return (guint16) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* ---- panel ---- */

typedef struct {
  guint n_w, n_tiles, k, w_more, x_more, acc_more; /* beyond the least strides */
} Shape;

static guint16 *
random_bf16 (GRand *rand, gsize n, double spread)
{
  guint16 *all = g_new (guint16, n);

  for (gsize i = 0; i < n; i++)
    all[i] = to_bf16 ((float) (llm_test_normal (rand) * exp2 (g_rand_double_range (rand, -spread, spread + 0.01))));
  return all;
}

static void
check_panel (const Shape *s, GRand *rand)
{
  gsize w_stride = s->k + s->w_more, x_tile = 16 * s->k + s->x_more, acc_stride = 16 * s->n_tiles + s->acc_more;
  g_autofree guint16 *w = random_bf16 (rand, (s->n_w - 1) * w_stride + s->k, 4);
  g_autofree guint16 *x = random_bf16 (rand, (s->n_tiles - 1) * x_tile + 16 * s->k, 4);
  g_autofree float *acc = g_new (float, s->n_w * acc_stride), *before = NULL;

  for (gsize i = 0; i < s->n_w * acc_stride; i++)
    acc[i] = (float) (16 * llm_test_normal (rand));
  before = g_memdup2 (acc, s->n_w * acc_stride * sizeof (float));
  llm_cpu_amx_panel (w, w_stride, s->n_w, x, x_tile, s->n_tiles, s->k, acc, acc_stride, s->n_tiles % 2 != 0);
  g_assert_false (llm_test_isa_tiles_in_use ());
  for (guint n = 0; n < s->n_w; n++)
    for (guint r = 0; r < acc_stride; r++)
      {
        double sum = s->n_tiles % 2 != 0 ? (double) before[n * acc_stride + r] : 0, size = fabs (sum);

        if (r >= 16 * s->n_tiles)
          {
            g_assert_cmpfloat (acc[n * acc_stride + r], ==, before[n * acc_stride + r]);
            continue;
          }
        for (guint i = 0; i < s->k; i++)
          {
            double product = (double) from_bf16 (w[n * w_stride + i]) * (double) from_bf16 (x[r / 16 * x_tile + i / 2 * 32 + r % 16 * 2 + i % 2]);

            sum += product;
            size += fabs (product);
          }
        if (fabs ((double) acc[n * acc_stride + r] - sum) > 4e-7 * size)
          g_error ("%u x %u tiles, k %u: row %u, lane %u is %g, not %g", s->n_w, s->n_tiles, s->k, n, r, (double) acc[n * acc_stride + r], sum);
      }
}

/* Every tail of rows and tiles, with rows close together and apart. */
static void
test_panel (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (guint n_w = 16; n_w <= 80; n_w += 16)
    for (guint n_tiles = 1; n_tiles <= 5; n_tiles++)
      {
        guint odd = g_rand_boolean (rand), k = 32 * (guint) g_rand_int_range (rand, 1, 6);
        Shape shape = { n_w, n_tiles, k, odd * 8, (1 - odd) * 48, odd * 3 };

        check_panel (&shape, rand);
      }
  for (guint i = 0; i < 3; i++)
    {
      static const Shape large[] = { { 32, 2, 1024, 0, 0, 0 }, { 16, 1, 2048, 32, 0, 0 }, { 48, 17, 512, 32, 16 * 512, 0 } };

      check_panel (&large[i], rand);
    }
}

/* A row's sums are the same bits, whatever lies beside it and whichever tile it is in. */
static void
test_rows_alone (void)
{
  enum { K = 96, N = 48, TILES = 3, LANES = 16 * TILES };
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);
  g_autofree guint16 *w = random_bf16 (rand, N * K, 3), *x = random_bf16 (rand, LANES * K, 3), *alone = g_new0 (guint16, 16 * K);
  g_autofree float *acc = g_new0 (float, N * LANES), *one = g_new (float, 16 * 16);

  llm_cpu_amx_panel (w, K, N, x, 16 * K, TILES, K, acc, LANES, TRUE);
  for (guint r = 0; r < LANES; r += 7)
    {
      guint lane = (r * 5 + 3) % 16, n = r % 3 * 16;

      memset (alone, 0, 16 * K * sizeof *alone);
      memset (one, 0, 16 * 16 * sizeof *one);
      for (guint i = 0; i < K; i++)
        alone[i / 2 * 32 + lane * 2 + i % 2] = x[r / 16 * 16 * K + i / 2 * 32 + r % 16 * 2 + i % 2];
      llm_cpu_amx_panel (w + n * K, K, 16, alone, 16 * K, 1, K, one, 16, FALSE);
      for (guint i = 0; i < 16; i++)
        g_assert_cmpfloat (one[i * 16 + lane], ==, acc[(n + i) * LANES + r]);
    }
}

/* ---- what goes in ---- */

static void
test_pack (void)
{
  static const guint32 hard[] = { 0x3f808000, 0x3f818000, 0x3f807fff, 0x3f808001, 0xbf818000, 0x7f7f0000, 0x00000000, 0x80000000, 0x007fffff, 0x7f7f7fff };
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);

  for (guint n_rows = 1; n_rows <= 16; n_rows++)
    {
      guint k = 32 * (guint) g_rand_int_range (rand, 1, 5);
      gsize stride = k + n_rows % 3;
      g_autofree float *x = g_new (float, (n_rows - 1) * stride + k);
      g_autofree guint16 *lanes = g_new (guint16, 16 * k);
      const float *row[16];

      for (gsize i = 0; i < (n_rows - 1) * stride + k; i++)
        x[i] = (float) llm_test_normal (rand);
      memcpy (x, hard, sizeof hard);
      for (guint r = 0; r < n_rows; r++)
        row[r] = x + r * stride;
      llm_cpu_amx_pack (row, n_rows, 0, k, lanes);
      for (guint r = 0; r < 16; r++)
        for (guint i = 0; i < k; i++)
          g_assert_cmphex (lanes[i / 2 * 32 + r * 2 + i % 2], ==, r < n_rows ? to_bf16 (x[r * stride + i]) : 0);
    }
}

static void
test_convert (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (4);
  LlmUnpacked columns;

  for (guint round = 0; round < 100; round++)
    {
      guint n = 32 * (round % 8 + 1);
      g_autofree guint16 *w = g_new (guint16, n);

      for (guint i = 0; i < 256; i++)
        columns.q[i] = (guint8) g_rand_int (rand);
      for (guint i = 0; i < 16; i++)
        {
          columns.scale[i] = (float) llm_test_normal (rand);
          columns.offset[i] = round % 2 != 0 ? 8 * columns.scale[i] : (float) (100 * llm_test_normal (rand));
        }
      llm_cpu_amx_convert (&columns, n, w);
      for (guint i = 0; i < n; i++)
        {
          double scaled = (double) columns.scale[i / 16] * columns.q[i], offset = (double) columns.offset[i / 16], want = scaled - offset;

          g_assert_cmpfloat_with_epsilon ((double) from_bf16 (w[i]), want, fabs (want) / 256 + 1e-7 * (fabs (scaled) + fabs (offset)));
        }
    }
}

/* ---- the whole product ---- */

/* More weight rows, inputs and columns than a piece has, with tails of each; some of the sums. */
static void
test_product (gconstpointer data)
{
  enum { N = 256 + 41, R = 512 + 19, K = 1024 + 256 };
  const LlmDtypeInfo *dtype = llm_dtype_info (GPOINTER_TO_UINT (data));
  g_autoptr (GRand) rand = g_rand_new_with_seed (dtype->id);
  gsize w_stride = K / dtype->block_elems * dtype->block_bytes, y_stride = N + 10;
  g_autofree guint8 *w = g_malloc (N * w_stride);
  g_autofree float *x = g_new (float, R * K), *y = g_new0 (float, R * y_stride), *weights = g_new (float, K);
  g_autofree guint16 *bf16 = g_new (guint16, (R + 15) / 16 * 16 * K);
  g_autofree const float **row = g_new (const float *, R);
  g_autofree float **out = g_new (float *, R);
  LlmCpuInput in = { .x = row, .bf16 = bf16 };

  for (gsize b = 0; b < N * w_stride / dtype->block_bytes; b++)
    llm_test_random_block (rand, dtype, 1, w + b * dtype->block_bytes);
  for (guint r = 0; r < R; r++)
    {
      for (guint i = 0; i < K; i++)
        x[r * K + i] = (float) llm_test_normal (rand);
      row[r] = x + r * K;
      out[r] = y + r * y_stride;
    }
  g_assert_false (llm_cpu_by_tiles (&llm_cpu_amx, LLM_CPU_ROWS, 31));
  g_assert_true (llm_cpu_by_tiles (&llm_cpu_amx, LLM_CPU_ROWS, 32));
  for (guint t = 0; t < (R + 15) / 16; t++)
    llm_cpu_tiles_pack (&llm_cpu_amx, row, R, K, t, bf16);
  llm_cpu_product (&llm_cpu_amx, LLM_CPU_ROWS, dtype, w, w_stride, N, &in, R, K, out, 5);
  for (guint n = 0; n < N; n += n % 5 == 0 ? 3 : 2)
    {
      dtype->decode (w + n * w_stride, weights, K);
      for (guint r = n % 7; r < R; r += 7)
        {
          double sum = 0, size = 0;

          for (guint i = 0; i < K; i++)
            {
              sum += (double) weights[i] * (double) x[r * K + i];
              size += (double) weights[i] * (double) weights[i] * (double) x[r * K + i] * (double) x[r * K + i];
            }
          if (fabs ((double) out[r][5 + n] - sum) > 0.01 * sqrt (size)) /* each factor is off by 2^-9 at most: about 0.0016 */
            g_error ("%s: weight row %u, input row %u: %g, not %g", dtype->name, n, r, (double) out[r][5 + n], sum);
        }
    }
  for (guint r = 0; r < R; r++)
    for (guint i = 0; i < 10; i++)
      g_assert_cmpfloat (y[r * y_stride + (i < 5 ? i : N + i)], ==, 0);
}

/* What keeps a CPU whose products are wrong from using them. */
static void
test_right (void)
{
  g_assert_true (llm_cpu_amx_right ());
  if (!llm_test_isa_emulates ("amx"))
    return;
  llm_test_isa_spoil (TRUE);
  g_assert_false (llm_cpu_amx_right ());
  llm_test_isa_spoil (FALSE);
  g_assert_true (llm_cpu_amx_right ());
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (!llm_test_isa_emulate () || !llm_test_isa_runs ("amx"))
    {
      g_print ("1..0 # SKIP neither AMX nor AVX-512 with VNNI and BF16 to emulate it with\n");
      return 0;
    }
  g_test_add_func ("/amx/panel", test_panel);
  g_test_add_func ("/amx/rows-alone", test_rows_alone);
  g_test_add_func ("/amx/pack", test_pack);
  g_test_add_func ("/amx/convert", test_convert);
  g_test_add_data_func ("/amx/product/Q4_0", GUINT_TO_POINTER (LLM_DTYPE_Q4_0), test_product);
  g_test_add_data_func ("/amx/product/Q8_0", GUINT_TO_POINTER (LLM_DTYPE_Q8_0), test_product);
  g_test_add_data_func ("/amx/product/Q6_K", GUINT_TO_POINTER (LLM_DTYPE_Q6_K), test_product);
  g_test_add_func ("/amx/right", test_right);
  return g_test_run ();
}
