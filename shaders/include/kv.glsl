// SPDX-License-Identifier: LGPL-2.1-or-later
// The KV cache of one layer: pages of p.page_tokens tokens, as floats or halves.
layout (set = 0, binding = 4) buffer K32 { float k32[]; };
layout (set = 0, binding = 5) buffer V32 { float v32[]; };
layout (set = 0, binding = 4) buffer K16 { uint16_t k16[]; };
layout (set = 0, binding = 5) buffer V16 { uint16_t v16[]; };

// Where position t of a slot lies, in tokens.
uint kv_token (uint slot, uint t)
{
  return batch[BATCH_TABLE (p.max_rows) + slot * batch[BATCH_STRIDE] + t / p.page_tokens] * p.page_tokens + t % p.page_tokens;
}
