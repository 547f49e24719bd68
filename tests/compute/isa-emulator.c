/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the opcodes mean: Intel SDM vol. 2, "Intel AMX Instruction Set Reference" and VPDPBUSD; where their registers
 * stand in a signal's frame: Linux, struct _fpstate, and CPUID leaf 0xD.
 */
#include "compute/isa-emulator.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "compute/cpu/kernels.h"

/* One instruction behind a VEX prefix of three bytes. */
typedef struct {
  guint8 map, pp, opcode, reg, rm, vvvv; /* pp: 0 none, 1 66, 2 F3, 3 F2 */
  gboolean wide, l256, memory, has_sib;
  gint64 address, stride; /* of memory: base + displacement, index << scale */
  gsize length;
} Insn;

typedef struct {
  guint8 row_bytes, rows;
  guint8 data[16][64];
} Tile;

static __thread struct {
  gboolean configured;
  Tile tile[8];
} amx;

static _Atomic guint64 n_emulated;
static _Atomic gboolean spoilt;
static guint ymm_at, zmm_at; /* offsets in the frame: upper halves of ymm, of zmm */

static G_GNUC_NORETURN void
fault (const char *what)
{
  ssize_t n = write (STDERR_FILENO, what, strlen (what));

  n += write (STDERR_FILENO, "\n", 1);
  (void) n;
  signal (SIGABRT, SIG_DFL);
  abort ();
}

/* ---- decoding ---- */

static gint64
general (const ucontext_t *context, guint n)
{
  static const guint8 order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

  return context->uc_mcontext.gregs[order[n]];
}

/* @p: behind the ModRM byte; returns the end of the operand. */
static const guint8 *
decode_memory (const ucontext_t *context, const guint8 *p, guint mod, guint rm, gboolean x, gboolean b, Insn *insn)
{
  guint base = rm;
  gint8 d8;
  gint32 d32;

  insn->memory = TRUE;
  insn->has_sib = rm == 4;
  if (insn->has_sib)
    {
      guint index = (*p >> 3 & 7) | (x ? 8 : 0);

      base = *p & 7;
      if (index != 4)
        insn->stride = (gint64) ((guint64) general (context, index) << (*p >> 6));
      p++;
    }
  if (mod == 0 && base == 5) /* no base, or the end of the instruction */
    {
      memcpy (&d32, p, 4);
      insn->address = d32 + (insn->has_sib ? 0 : (gint64) (gsize) (p + 4));
      return p + 4;
    }
  insn->address = general (context, base | (b ? 8 : 0));
  if (mod == 1)
    {
      memcpy (&d8, p, 1);
      insn->address += d8;
      return p + 1;
    }
  if (mod == 2)
    {
      memcpy (&d32, p, 4);
      insn->address += d32;
      return p + 4;
    }
  return p;
}

/* FALSE: not of map 0F38 behind C4. */
static gboolean
decode (const ucontext_t *context, const guint8 *p, Insn *insn)
{
  const guint8 *start = p;
  guint modrm;

  *insn = (Insn) { .map = 0 };
  if (p[0] != 0xc4 || (p[1] & 31) != 2)
    return FALSE;
  insn->map = 2;
  insn->wide = p[2] >> 7;
  insn->vvvv = ~p[2] >> 3 & 15;
  insn->l256 = p[2] >> 2 & 1;
  insn->pp = p[2] & 3;
  insn->opcode = p[3];
  modrm = p[4];
  insn->reg = (modrm >> 3 & 7) | (p[1] & 0x80 ? 0 : 8);
  insn->rm = (modrm & 7) | (p[1] & 0x20 ? 0 : 8);
  p += 5;
  if (modrm >> 6 != 3)
    p = decode_memory (context, p, modrm >> 6, modrm & 7, (start[1] & 0x40) == 0, (start[1] & 0x20) == 0, insn);
  insn->length = (gsize) (p - start);
  return TRUE;
}

/* ---- tiles ---- */

static Tile *
tile_of (guint n)
{
  if (!amx.configured)
    fault ("emulated AMX: #UD, no tiles are configured");
  if (n > 7 || amx.tile[n].rows == 0)
    fault ("emulated AMX: #UD, a tile that is not configured");
  return &amx.tile[n];
}

static void
load_config (const guint8 *p)
{
  memset (&amx, 0, sizeof amx);
  for (guint i = 2; i < 16; i++)
    if (p[i] != 0)
      fault ("emulated AMX: #GP, reserved bytes of the configuration");
  if (p[0] > 1 || p[1] != 0)
    fault ("emulated AMX: #GP, palette or start row of the configuration");
  if (p[0] == 0)
    return;
  for (guint i = 0; i < 16; i++)
    {
      guint bytes = p[16 + 2 * i] | (guint) p[17 + 2 * i] << 8, rows = p[48 + i];

      if (bytes > 64 || rows > 16 || (bytes == 0) != (rows == 0) || (i > 7 && rows != 0))
        fault ("emulated AMX: #GP, rows or bytes of a row of a tile");
      if (i < 8)
        {
          amx.tile[i].row_bytes = (guint8) bytes;
          amx.tile[i].rows = (guint8) rows;
        }
    }
  amx.configured = TRUE;
}

static void
move_tile (Tile *tile, const Insn *insn, gboolean store)
{
  if (!insn->has_sib)
    fault ("emulated AMX: #UD, rows without an index register");
  if (!store)
    memset (tile->data, 0, sizeof tile->data);
  for (guint row = 0; row < tile->rows; row++)
    {
      guint8 *memory = (guint8 *) (gsize) (insn->address + row * insn->stride);

      if (store)
        memcpy (memory, tile->data[row], tile->row_bytes);
      else
        memcpy (tile->data[row], memory, tile->row_bytes);
    }
}

static float
bf16 (const guint8 *p)
{
  guint32 bits = (guint32) p[0] << 16 | (guint32) p[1] << 24;
  float f;

  memcpy (&f, &bits, sizeof f);
  return f;
}

static void
check_shapes (const Tile *c, const Tile *a, const Tile *b)
{
  if (c == a || c == b || a == b)
    fault ("emulated AMX: #UD, a product with one tile twice");
  if (c->rows != a->rows || c->row_bytes != b->row_bytes || a->row_bytes != 4 * b->rows || a->row_bytes % 4 != 0 || c->row_bytes % 4 != 0)
    fault ("emulated AMX: #UD, tiles whose shapes do not fit");
}

/* Even and odd columns have sums of their own, from 0 on; denormals are zeros. */
static void
product_bf16 (Tile *c, const Tile *a, const Tile *b)
{
  typedef float V16 __attribute__ ((vector_size (64)));
  const guint mxcsr = _mm_getcsr ();
  V16 even[16], odd[16], sum;

  check_shapes (c, a, b);
  _mm_setcsr (0x9fc0); /* DAZ, FTZ, round to nearest, no exceptions */
  for (guint k = 0; k < b->rows; k++)
    for (guint n = 0; n < 16; n++)
      {
        even[k][n] = bf16 (b->data[k] + 4 * n);
        odd[k][n] = bf16 (b->data[k] + 4 * n + 2);
      }
  for (guint m = 0; m < c->rows; m++)
    {
      V16 e = { 0 }, o = { 0 };

      for (guint k = 0; k < b->rows; k++)
        {
          e += bf16 (a->data[m] + 4 * k) * even[k];
          o += bf16 (a->data[m] + 4 * k + 2) * odd[k];
        }
      memcpy (&sum, c->data[m], sizeof sum);
      sum += e + o;
      if (m == 3 && atomic_load (&spoilt))
        sum[5] += 1;
      memcpy (c->data[m], &sum, sizeof sum);
    }
  _mm_setcsr (mxcsr);
}

/* ---- vpdpbusd ---- */

/* What an XSAVE left out is zero. */
static void
materialise (fpregset_t fp, guint component, guint at, gsize size)
{
  guint64 *present = (guint64 *) (gpointer) ((guint8 *) fp + 512);

  if ((*present & (guint64) 1 << component) == 0)
    memset ((guint8 *) fp + at, 0, size);
  *present |= (guint64) 1 << component;
}

static void
read_vector (fpregset_t fp, guint n, guint8 v[32])
{
  memcpy (v, (guint8 *) fp + 160 + 16 * n, 16);
  memcpy (v + 16, (guint8 *) fp + ymm_at + 16 * n, 16);
}

static void
write_vector (fpregset_t fp, guint n, gboolean l256, const guint8 v[32])
{
  memcpy ((guint8 *) fp + 160 + 16 * n, v, 16);
  memset ((guint8 *) fp + ymm_at + 16 * n, 0, 16);
  if (l256)
    memcpy ((guint8 *) fp + ymm_at + 16 * n, v + 16, 16);
  if (zmm_at != 0 && (*(guint64 *) (gpointer) ((guint8 *) fp + 512) & 1 << 6) != 0)
    memset ((guint8 *) fp + zmm_at + 32 * n, 0, 32);
}

static void
vpdpbusd (const ucontext_t *context, const Insn *insn)
{
  fpregset_t fp = context->uc_mcontext.fpregs;
  guint8 u[32], s[32], sum[32];

  materialise (fp, 1, 160, 256);
  materialise (fp, 2, ymm_at, 256);
  read_vector (fp, insn->reg, sum);
  read_vector (fp, insn->vvvv, u);
  if (insn->memory)
    memcpy (s, (const guint8 *) (gsize) (insn->address + insn->stride), insn->l256 ? 32 : 16);
  else
    read_vector (fp, insn->rm, s);
  for (guint i = 0; i < (insn->l256 ? 8 : 4); i++)
    {
      guint32 dot;

      memcpy (&dot, sum + 4 * i, 4);
      for (guint j = 4 * i; j < 4 * i + 4; j++)
        dot += (guint32) (u[j] * (gint8) s[j]);
      memcpy (sum + 4 * i, &dot, 4);
    }
  write_vector (fp, insn->reg, insn->l256, sum);
}

/* ---- the signal ---- */

static gboolean
emulate_tile (const Insn *insn)
{
  gsize address = (gsize) (insn->address + insn->stride);

  switch (insn->opcode << 4 | insn->pp << 1 | insn->memory)
    {
    case 0x491: /* LDTILECFG */
      load_config ((const guint8 *) address);
      return TRUE;
    case 0x490: /* TILERELEASE */
      memset (&amx, 0, sizeof amx);
      return insn->reg == 0 && insn->rm == 0;
    case 0x496: /* TILEZERO */
      memset (tile_of (insn->reg)->data, 0, sizeof amx.tile[0].data);
      return TRUE;
    case 0x4b7: /* TILELOADD */
    case 0x4b3: /* TILELOADDT1 */
    case 0x4b5: /* TILESTORED */
      move_tile (tile_of (insn->reg), insn, insn->pp == 2);
      return TRUE;
    case 0x5c4: /* TDPBF16PS */
      product_bf16 (tile_of (insn->reg), tile_of (insn->rm), tile_of (insn->vvvv));
      return TRUE;
    default:
      return FALSE;
    }
}

static gboolean
emulate (const ucontext_t *context, const Insn *insn)
{
  if (insn->wide)
    return FALSE;
  if (insn->opcode == 0x50 && insn->pp == 1)
    {
      vpdpbusd (context, insn);
      return TRUE;
    }
  return !insn->l256 && emulate_tile (insn);
}

static void
on_illegal (int number, siginfo_t *info, void *data)
{
  ucontext_t *context = data;
  Insn insn;
  guint n = 0;

  /* more of them may follow: a signal costs more than what they do */
  while (decode (context, (const guint8 *) (gsize) context->uc_mcontext.gregs[REG_RIP], &insn) && emulate (context, &insn))
    {
      context->uc_mcontext.gregs[REG_RIP] += (greg_t) insn.length;
      n++;
    }
  if (n == 0)
    fault ("an illegal instruction that is none of the emulated ones");
  atomic_fetch_add (&n_emulated, n);
}

/* ---- for tests ---- */

static gboolean
has_bf16 (void)
{
  guint a, b, c, d;

  return __get_cpuid_count (7, 1, &a, &b, &c, &d) && (a & 1 << 5) != 0;
}

static gboolean
emulated (const char *name)
{
  if (strcmp (name, "amx") == 0)
    return llm_cpu_avx512_vnni.usable () && has_bf16 ();
  return strcmp (name, "avx-vnni") == 0 && llm_cpu_avx2.usable ();
}

static gboolean
has (const char *name)
{
  return strcmp (name, "amx") == 0 ? llm_cpu_amx.usable () : llm_cpu_avx_vnni.usable ();
}

gboolean
llm_test_isa_emulates (const char *name)
{
  return llm_cpu_isa_emulated != NULL && !has (name) && emulated (name);
}

gboolean
llm_test_isa_runs (const char *name)
{
  return has (name) || llm_test_isa_emulates (name);
}

gboolean
llm_test_isa_emulate (void)
{
  struct sigaction action = { .sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO | SA_RESTART };
  guint a, b, c, d;

  if (!__get_cpuid_count (0xd, 2, &a, &b, &c, &d) || a != 256)
    return FALSE;
  ymm_at = b;
  if (__get_cpuid_count (0xd, 6, &a, &b, &c, &d) && a != 0)
    zmm_at = b;
  sigemptyset (&action.sa_mask);
  if (sigaction (SIGILL, &action, NULL) != 0)
    return FALSE;
  llm_cpu_isa_emulated = emulated;
  return TRUE;
}

guint64
llm_test_isa_count (void)
{
  return atomic_load (&n_emulated);
}

void
llm_test_isa_spoil (gboolean spoil)
{
  atomic_store (&spoilt, spoil);
}

gboolean
llm_test_isa_tiles_in_use (void)
{
  return amx.configured;
}

#else

gboolean
llm_test_isa_emulate (void)
{
  return FALSE;
}

gboolean
llm_test_isa_emulates (const char *name)
{
  return FALSE;
}

gboolean
llm_test_isa_runs (const char *name)
{
  return FALSE;
}

guint64
llm_test_isa_count (void)
{
  return 0;
}

void
llm_test_isa_spoil (gboolean spoil)
{
}

gboolean
llm_test_isa_tiles_in_use (void)
{
  return FALSE;
}

#endif
