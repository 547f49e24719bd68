// SPDX-License-Identifier: LGPL-2.1-or-later
// The KV cache of one layer: pages of p.page_tokens tokens, as floats or halves.
#ifdef F16
layout (set = 0, binding = 4) buffer K { uint16_t k[]; };
layout (set = 0, binding = 5) buffer V { uint16_t v[]; };
#define FROM_KV(e) half_to_float (uint (e))
#define TO_KV(f) uint16_t (packHalf2x16 (vec2 (f, 0)) & 0xffffu)
#else
layout (set = 0, binding = 4) buffer K { float k[]; };
layout (set = 0, binding = 5) buffer V { float v[]; };
#define FROM_KV(e) (e)
#define TO_KV(f) (f)
#endif

// Where position t of a slot lies, in tokens.
uint kv_token (uint slot, uint t)
{
  return batch[BATCH_TABLE (p.max_rows) + slot * batch[BATCH_STRIDE] + t / p.page_tokens] * p.page_tokens + t % p.page_tokens;
}
