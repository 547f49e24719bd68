/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The emulator of instructions itself: the forms of operand that a compiler may choose, and the faults of tiles.
 * On a CPU that has the instructions the same tests say what the hardware does.
 */
#include <string.h>

#include "compute/isa-emulator.h"

#ifdef __x86_64__

typedef gint32 V8 __attribute__ ((vector_size (32), aligned (32)));

static V8 still; /* for an address that is relative to the instruction */

static void
expect_dots (const V8 *start, const V8 *u, const V8 *s, guint n, gint32 *out)
{
  const guint8 *a = (const guint8 *) u;
  const gint8 *b = (const gint8 *) s;

  memset (out, 0, 32);
  for (guint i = 0; i < n; i++)
    {
      out[i] = (*start)[i];
      for (guint j = 4 * i; j < 4 * i + 4; j++)
        out[i] = (gint32) ((guint32) out[i] + (guint32) (a[j] * b[j]));
    }
}

/* @code: of ymm@d += ymm@u . in[5] with instructions of AVX around it; %4, r12 = in; r13 = 20. The first @n sums. */
#define DOT(d, u, code, n)                                                                                                                 \
  G_STMT_START                                                                                                                             \
  {                                                                                                                                        \
    __asm__ volatile ("vmovdqu %1, %%ymm" #d "\n\tvmovdqu %2, %%ymm" #u "\n\tvmovdqu %3, %%ymm14\n\tmov %4, %%r12\n\tmov $20, %%r13\n\t"   \
                      code "\n\tvmovdqu %%ymm" #d ", %0"                                                                                   \
                      : "=m" (result)                                                                                                      \
                      : "m" (start), "m" (a), "m" (in[5]), "r" (in), "m" (still)                                                           \
                      : "xmm" #d, "xmm" #u, "xmm14", "r12", "r13", "memory", "cc");                                                        \
    expect_dots (&start, &a, &in[5], n, expected);                                                                                         \
    g_assert_cmpmem (&result, 32, expected, 32);                                                                                           \
  }                                                                                                                                        \
  G_STMT_END

static void
test_vpdpbusd (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  V8 start, a, in[8], result;
  gint32 expected[8];

  if (!llm_test_isa_runs ("avx-vnni"))
    {
      g_test_skip ("no AVX2");
      return;
    }
  for (guint round = 0; round < 50; round++)
    {
      for (guint i = 0; i < 8; i++)
        {
          start[i] = (gint32) g_rand_int (rand);
          a[i] = (gint32) g_rand_int (rand);
          for (guint j = 0; j < 8; j++)
            in[j][i] = (gint32) g_rand_int (rand);
        }
      if (round == 0) /* no sum of pairs is cut off at 16 bits */
        {
          memset (&a, 255, sizeof a);
          memset (&in[5], 0x80, sizeof in[5]);
        }
      still = in[5];
      DOT (0, 1, "%{vex%} vpdpbusd %%ymm14, %%ymm1, %%ymm0", 8);
      DOT (9, 12, "%{vex%} vpdpbusd %%ymm14, %%ymm12, %%ymm9", 8);
      DOT (3, 4, "%{vex%} vpdpbusd %%xmm14, %%xmm4, %%xmm3", 4);
      DOT (3, 4, "%{vex%} vpdpbusd %%xmm14, %%xmm4, %%xmm3\n\tvmovdqu %1, %%ymm3\n\t%{vex%} vpdpbusd %%ymm14, %%ymm4, %%ymm3", 8);
      DOT (7, 8, "%{vex%} vpdpbusd 160(%4), %%ymm8, %%ymm7", 8);
      DOT (7, 8, "%{vex%} vpdpbusd 160(%%r12), %%ymm8, %%ymm7", 8);
      DOT (7, 8, "add $64, %%r12\n\t%{vex%} vpdpbusd 96(%%r12), %%ymm8, %%ymm7", 8);
      DOT (7, 8, "add $160, %%r12\n\t%{vex%} vpdpbusd (%%r12), %%xmm8, %%xmm7", 4);
      DOT (2, 13, "lea 160(%%r12), %%r13\n\t%{vex%} vpdpbusd (%%r13), %%ymm13, %%ymm2", 8);
      DOT (2, 13, "%{vex%} vpdpbusd (%%r12,%%r13,8), %%ymm13, %%ymm2", 8);
      DOT (2, 13, "shl $4, %%r13\n\t%{vex%} vpdpbusd -160(%%r12,%%r13), %%ymm13, %%ymm2", 8);
      DOT (2, 13, "sub $256, %%r12\n\t%{vex%} vpdpbusd 256(%%r12,%%r13,8), %%ymm13, %%ymm2", 8);
      DOT (5, 6, "%{vex%} vpdpbusd %5, %%ymm6, %%ymm5", 8);
    }
}

/* ---- tiles ---- */

typedef struct {
  guint8 palette, start_row, reserved[14];
  guint16 row_bytes[16];
  guint8 rows[16];
} __attribute__ ((aligned (64))) Config;

#define CONFIGURE(config) __asm__ volatile ("ldtilecfg %0" ::"m" (config))
#define RELEASE() __asm__ volatile ("tilerelease")
#define LOAD(tile, p, stride) __asm__ volatile ("tileloadd (%0,%1,1), %%tmm" #tile ::"r" (p), "r" ((gssize) (stride)) : "memory")
#define STORE(tile, p, stride) __asm__ volatile ("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r" (p), "r" ((gssize) (stride)) : "memory")

/* 3 rows of 20 bytes, by every form of address, and backwards; the rest stays. */
static void
test_tile_moves (void)
{
  Config config = { .palette = 1, .row_bytes = { [2] = 20, [7] = 20 }, .rows = { [2] = 3, [7] = 3 } };
  guint8 from[3 * 50], to[3 * 50];

  if (!llm_test_isa_runs ("amx"))
    {
      g_test_skip ("no AVX-512 with VNNI and BF16");
      return;
    }
  for (guint i = 0; i < sizeof from; i++)
    from[i] = (guint8) i;
  CONFIGURE (config);
  g_assert_true (llm_test_isa_tiles_in_use () || llm_test_isa_count () == 0);
  for (guint form = 0; form < 6; form++)
    {
      memset (to, 255, sizeof to);
      if (form == 0)
        LOAD (7, from, 50);
      else if (form == 1)
        LOAD (7, from + 100, -50);
      else if (form == 2)
        __asm__ volatile ("mov %0, %%r13\n\tmov $25, %%r8\n\ttileloaddt1 -7(%%r13,%%r8,2), %%tmm7" ::"r" (from + 7) : "r13", "r8", "memory");
      else if (form == 3)
        __asm__ volatile ("lea -300(%0), %%r12\n\tmov $50, %%ebx\n\ttileloadd 300(%%r12,%%rbx), %%tmm7" ::"r" (from) : "r12", "rbx", "memory");
      else if (form == 4)
        __asm__ volatile (".byte 0xc4, 0xe2, 0x7b, 0x4b, 0x3c, 0x20" ::"a" (from) : "memory"); /* (rax) without an index */
      else
        __asm__ volatile ("tilezero %%tmm7" ::);
      STORE (7, to, 50);
      for (guint i = 0; i < sizeof to; i++)
        if (i % 50 >= 20)
          g_assert_cmpuint (to[i], ==, 255);
        else if (form == 1)
          g_assert_cmpuint (to[i], ==, from[100 - i / 50 * 50 + i % 50]);
        else if (form == 5)
          g_assert_cmpuint (to[i], ==, 0);
        else
          g_assert_cmpuint (to[i], ==, from[form == 4 ? i % 50 : i]);
    }
  RELEASE ();
  g_assert_false (llm_test_isa_tiles_in_use ());
}

/* 2 x 3 sums of 4 columns. */
static void
test_tile_product (void)
{
  Config config = { .palette = 1, .row_bytes = { 12, 8, 12 }, .rows = { 2, 2, 2 } };
  const guint16 one = 0x3f80, two = 0x4000, minus = 0xbf80, tiny = 0x0001;
  const guint16 a[2][4] = { { one, two, minus, tiny }, { two, two, two, two } };
  const guint16 b[2][3][2] = { { { one, one }, { two, one }, { one, two } }, { { one, two }, { two, two }, { minus, one } } };
  static const float expected[2][3] = { { 10 + 2, 20 + 2, 30 + 6 }, { 40 + 10, 50 + 14, 60 + 6 } };
  float c[2][3] = { { 10, 20, 30 }, { 40, 50, 60 } };

  if (!llm_test_isa_runs ("amx"))
    {
      g_test_skip ("no AVX-512 with VNNI and BF16");
      return;
    }
  CONFIGURE (config);
  LOAD (0, c, 12);
  LOAD (1, a, 8);
  LOAD (2, b, 12);
  __asm__ volatile ("tdpbf16ps %%tmm2, %%tmm1, %%tmm0" ::);
  STORE (0, c, 12);
  RELEASE ();
  g_assert_cmpmem (c, sizeof c, expected, sizeof expected);
}

/* What the hardware refuses ends the program here too, rather than giving a number. */
static void
test_faults (void)
{
  static const char *const what[] = { "*no tiles are configured*", "*tile that is not configured*", "*shapes do not fit*", "*one tile twice*",
                                      "*rows or bytes of a row*", "*palette*", "*none of the emulated ones*" };
  const Config config = { .palette = 1, .row_bytes = { 64, 64, 64, 60 }, .rows = { 16, 16, 16, 16 } };
  Config wrong = config;
  static guint8 data[1024];

  if (g_test_subprocess ())
    {
      guint number = (guint) g_ascii_strtoull (g_getenv ("LLM_TEST_FAULT"), NULL, 10);

      wrong.rows[5] = number == 4 ? 3 : 0;
      wrong.palette = number == 5 ? 2 : 1;
      CONFIGURE (wrong);
      if (number == 0)
        RELEASE ();
      if (number <= 1)
        __asm__ volatile ("tileloadd (%0,%1,1), %%tmm6" ::"r" (data), "r" ((gsize) 64) : "memory");
      if (number == 2)
        __asm__ volatile ("tdpbf16ps %%tmm3, %%tmm1, %%tmm0" ::);
      if (number == 3)
        __asm__ volatile (".byte 0xc4, 0xe2, 0x72, 0x5c, 0xc0" ::); /* tdpbf16ps tmm0, tmm0, tmm1: no assembler takes it */
      if (number == 6)
        __asm__ volatile ("ud2" ::);
      return;
    }
  if (!llm_test_isa_runs ("amx") || llm_test_isa_count () == 0)
    {
      g_test_skip ("nothing is emulated");
      return;
    }
  for (guint i = 0; i < G_N_ELEMENTS (what); i++)
    {
      g_autofree char *number = g_strdup_printf ("%u", i);

      g_setenv ("LLM_TEST_FAULT", number, TRUE);
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
      g_test_trap_assert_failed ();
      g_test_trap_assert_stderr (what[i]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (!llm_test_isa_emulate ())
    {
      g_print ("1..0 # SKIP nothing to emulate with: no XSAVE\n");
      return 0;
    }
  g_test_add_func ("/isa-emulator/vpdpbusd", test_vpdpbusd);
  g_test_add_func ("/isa-emulator/tile-moves", test_tile_moves);
  g_test_add_func ("/isa-emulator/tile-product", test_tile_product);
  g_test_add_func ("/isa-emulator/faults", test_faults);
  return g_test_run ();
}

#else

int
main (int argc, char **argv)
{
  g_print ("1..0 # SKIP not an x86-64\n");
  return 0;
}

#endif
