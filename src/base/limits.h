/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every limit of the product.  Each has a test at it and one over it; beyond a
 * limit we refuse with a typed error, never block, never abort.
 */
#pragma once

#define LLM_KIB 1024ull
#define LLM_MIB (1024ull * LLM_KIB)
#define LLM_GIB (1024ull * LLM_MIB)

/* ---- files (format/) ---- */
#define LLM_GGUF_MAX_HEADER_BYTES (256 * LLM_MIB) /* metadata and tensor table */
#define LLM_MODEL_MAX_PARTS 128           /* files of a split model; the kernel passes at most 253 fds in a message */
#define LLM_GGUF_MAX_KEYS 65536
#define LLM_GGUF_MAX_TENSORS 65536
#define LLM_GGUF_MAX_KEY_BYTES 1024
#define LLM_GGUF_MAX_NAME_BYTES 256       /* tensor name; ggml itself allows 64 */
#define LLM_GGUF_MAX_STRING_BYTES (16 * LLM_MIB)
#define LLM_GGUF_MAX_ARRAY_ITEMS (4 * 1024 * 1024)
#define LLM_GGUF_MAX_ARRAY_DEPTH 1        /* arrays of arrays are refused */
#define LLM_GGUF_MAX_ALIGNMENT (1 * LLM_MIB)

/* ---- models (format/, engine/) ---- */
#define LLM_MODEL_MAX_LAYERS 1024
#define LLM_MODEL_MAX_WIDTH 262144        /* embedding, feed-forward */
#define LLM_MODEL_MAX_HEADS 1024
#define LLM_MODEL_MAX_HEAD_DIM 1024
#define LLM_MODEL_MAX_EXPERTS 1024
#define LLM_MODEL_MAX_VOCAB (2 * 1024 * 1024)
#define LLM_MODEL_MAX_CONTEXT (16 * 1024 * 1024)

/* ---- text ---- */
#define LLM_TOKEN_MAX_BYTES 4096          /* one vocabulary entry; what a tokenizer compares at one place */
#define LLM_TEXT_MAX_BYTES (16 * LLM_MIB) /* one text to tokenize */
#define LLM_CHARSMAP_MAX_BYTES (4 * LLM_MIB) /* normalization table of a unigram vocabulary */
#define LLM_CHARSMAP_MAX_TEXT 256         /* bytes that it replaces at once, and by which */

/* ---- engine ---- */
#define LLM_POOL_MAX_THREADS 256
#define LLM_BATCH_MAX_ROWS 512            /* rows of one run */
#define LLM_BATCH_MAX_SLOTS 64            /* sequences of one run */
#define LLM_ENCODER_MAX_ROWS 8192         /* rows of one run of an encoder: its longest input */
#define LLM_EMBED_MAX_RESULT_BYTES (16 * LLM_MIB) /* embeddings of one call, as float32 */
#define LLM_VK_WAIT_SECONDS 60         /* one run of a Vulkan device */
#define LLM_VK_WAIT_SOFTWARE_SECONDS 1800 /* of one that runs on the CPU, which others may want, too */
#define LLM_KV_PAGE_TOKENS 32
#define LLM_ENGINE_MAX_REQUESTS 1024      /* queued and running */
#define LLM_ENGINE_MAX_MODELS 16          /* loaded at once */
#define LLM_MAX_STOP_STRINGS 16
#define LLM_MAX_STOP_BYTES 256            /* of one stop string */
#define LLM_MAX_LOGIT_BIAS 1024
#define LLM_MAX_LOGPROBS 20
#define LLM_MAX_PENALTY_WINDOW 64         /* last tokens that penalties look at */
#define LLM_MAX_DRY_WINDOW 1024           /* last tokens that DRY looks at */
#define LLM_MAX_DRY_PENALTY 1e6           /* of one logit */
#define LLM_MAX_DRY_LENGTH 64

/* ---- compile cache (cache/) ---- */
#define LLM_CACHE_MAX_LABEL_BYTES (64 * LLM_KIB)   /* what stands before an artifact's payload: identity and key */
#define LLM_CACHE_MAX_PAYLOAD_BYTES (64 * LLM_MIB) /* of an artifact that is kept */
#define LLM_CACHE_MEMORY_BYTES (64 * LLM_MIB)      /* of the memory tier, beyond what is in use */
#define LLM_CACHE_MAX_SEEN 4096                    /* names of artifacts of other versions that are remembered */

/* ---- JSON and the store ---- */
#define LLM_JSON_MAX_DEPTH 64
#define LLM_MANIFEST_MAX_BYTES (1 * LLM_MIB)
#define LLM_STORE_MAX_ALIASES 256

/* ---- settings: the ranges of data/org.local.LLM.gschema.xml ---- */
#define LLM_MAX_DISK_BYTES (1ull << 60)
#define LLM_MAX_KEEP_ALIVE_SECONDS (365u * 24u * 3600u)
#define LLM_MAX_SINK_TOKENS 4096
#define LLM_MAX_ARTIFACT_AGE_DAYS 36500u
#define LLM_MAX_KEEP_VERSIONS 64
#define LLM_MAX_GC_SECONDS (365u * 24u * 3600u) /* interval, grace */
#define LLM_MAX_SETTING_BYTES (64 * LLM_KIB)  /* of one value */
#define LLM_MAX_MODEL_OVERRIDES 256           /* models with settings of their own */

/* ---- garbage collection (store/) ---- */
#define LLM_GC_MAX_ENTRIES 100000             /* files of one collection; the next one takes the rest */
#define LLM_GC_MAX_DEPTH 8                    /* folders below that of an engine */
#define LLM_GC_MAX_REPORTED 2048              /* deletions that CollectGarbage lists, */
#define LLM_GC_MAX_REPORTED_BYTES (LLM_MAX_REPLY_BYTES / 2) /* and of their paths */
#define LLM_GC_DISK_CHECK_SECONDS 300         /* how often the disk is asked how full it is */

/* ---- defaults that are not settings ---- */
#define LLM_DEFAULT_CONTEXT_WINDOW 8192
#define LLM_DEFAULT_KV_WINDOWS 8
#define LLM_DEFAULT_KEEP_ALIVE_SECONDS 300 /* these six as in data/org.local.LLM.gschema.xml */
#define LLM_DEFAULT_ARTIFACT_BYTES (1 * LLM_GIB)
#define LLM_DEFAULT_ARTIFACT_AGE_DAYS 90
#define LLM_DEFAULT_MINIMUM_FREE_BYTES (1 * LLM_GIB)
#define LLM_DEFAULT_GC_INTERVAL_SECONDS 86400
#define LLM_DEFAULT_GC_GRACE_SECONDS 86400
#define LLM_DEFAULT_TEMPERATURE 0.7
#define LLM_DEFAULT_TOP_K 40
#define LLM_DEFAULT_TOP_P 0.95
#define LLM_DEFAULT_MIN_P 0.05
#define LLM_DEFAULT_XTC_THRESHOLD 0.1
#define LLM_DEFAULT_DRY_BASE 1.75
#define LLM_DEFAULT_DRY_ALLOWED_LENGTH 2

/* ---- bus (daemon/) ---- */
#define LLM_MAX_REQUEST_BYTES (4 * LLM_MIB)   /* body of one method call */
#define LLM_MAX_MESSAGES 4096                 /* of one chat */
#define LLM_MAX_REPLY_BYTES (1 * LLM_MIB)
#define LLM_MAX_IMPORT_FDS 16
#define LLM_COLLECTING_TIMEOUT_MS 60000       /* an import that waits for more files */
#define LLM_MAX_STORE_BYTES_PER_UID (1024 * LLM_GIB) /* that a user who is no administrator brings to the store */
#define LLM_EMBED_MAX_INPUTS 2048             /* texts of one call */
#define LLM_EMBED_MAX_BYTES (2 * LLM_MIB)     /* all of them */
#define LLM_MAX_REQUESTS_PER_UID 128
#define LLM_MAX_REQUESTS_TOTAL 1024
#define LLM_MAX_FDS_PER_UID 64
#define LLM_MAX_INBOUND_BYTES_PER_SENDER (16 * LLM_MIB) /* undispatched */
#define LLM_MAX_HANDLE_TOKEN_BYTES 64
#define LLM_MAX_MODEL_NAME_BYTES 128
#define LLM_SCAN_MAX_FILES 4096               /* that llmctl looks at in one cache of another program */
#define LLM_MAX_ORIGIN_BYTES 256              /* "source" and "version" of an import */
#define LLM_MAX_DEADLINE_MS (24u * 3600u * 1000u)
#define LLM_FLOW_UNACKED_BYTES (64 * LLM_KIB)
#define LLM_FLOW_PING_TIMEOUT_MS 30000
#define LLM_DELTA_COALESCE_MS 33
#define LLM_DELTA_COALESCE_BYTES (4 * LLM_KIB)
#define LLM_FD_RING_BYTES (256 * LLM_KIB)
#define LLM_FINISHED_REQUEST_TTL_MS 60000
#define LLM_CRASHES_TO_QUARANTINE 2
#define LLM_QUARANTINE_SECONDS 600
#define LLM_INSPECT_TIMEOUT_MS 60000
#define LLM_ENGINE_MAX_CALLS 4096             /* waiting for an answer of the engine */
#define LLM_MAX_TOP_K LLM_MODEL_MAX_VOCAB
#define LLM_MAX_MAX_TOKENS LLM_MODEL_MAX_CONTEXT
#define LLM_ENGINE_LINGER_SECONDS 30          /* an engine without models ends after */
