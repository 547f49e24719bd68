/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The peer's side of peer.py: llama.cpp, from its own header and shared libraries, which whoever measures has got from
 * elsewhere.  peer.py compiles this file at run time; nothing of the peer is part of this project.
 *
 * peer CPU-LIBRARY MODEL THREADS reads lines "STREAMS DEPTH PROMPT DECODE" and answers each with one line of JSON:
 * tokens a second of a prefill of PROMPT tokens and of DECODE steps of STREAMS sequences with DEPTH tokens before.  Each case
 * has a context of its own, warmed by a short run.  Its tokens are given, not sampled: that speaks for the peer.
 */
#include <llama.h>

#include <ggml-backend.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHORT_PROMPT 8
#define BATCH 2048

typedef struct {
  struct llama_context *context;
  struct llama_batch batch;
  int n_vocab;
} Peer;

static void
quiet (enum ggml_log_level level, const char *text, void *data)
{
  (void) data;
  if (level == GGML_LOG_LEVEL_ERROR)
    fputs (text, stderr);
}

static double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void
add (Peer *self, int position, int sequence, int wanted)
{
  struct llama_batch *b = &self->batch;
  int i = b->n_tokens++;

  b->token[i] = (position * 7919 + sequence * 104729) % (self->n_vocab - 8) + 4;
  b->pos[i] = position;
  b->n_seq_id[i] = 1;
  b->seq_id[i][0] = sequence;
  b->logits[i] = (int8_t) wanted;
}

static void
run (Peer *self)
{
  int rc = llama_decode (self->context, self->batch);

  llama_synchronize (self->context);
  if (rc != 0)
    {
      fprintf (stderr, "peer: llama_decode answers %d\n", rc);
      exit (1);
    }
  self->batch.n_tokens = 0;
}

/* Tokens [@from, @to) of every sequence; logits of the last. Seconds. */
static double
prefill (Peer *self, int streams, int from, int to)
{
  double began = now ();

  for (int s = 0; s < streams; s++)
    for (int i = from; i < to; i++)
      {
        add (self, i, s, i == to - 1);
        if (self->batch.n_tokens == BATCH)
          run (self);
      }
  if (self->batch.n_tokens > 0)
    run (self);
  return now () - began;
}

static double
decode (Peer *self, int streams, int from, int n)
{
  double began = now ();

  for (int i = from; i < from + n; i++)
    {
      for (int s = 0; s < streams; s++)
        add (self, i, s, 1);
      run (self);
    }
  return now () - began;
}

static void
measure (Peer *self, struct llama_model *model, int threads, const int *c)
{
  struct llama_context_params p = llama_context_default_params ();
  int streams = c[0], depth = c[1], prompt = c[2] / c[0], n = c[3], at;
  double prefill_s, decode_s;

  p.n_ctx = (uint32_t) (streams * ((depth + prompt + n + SHORT_PROMPT + 255) / 256 * 256));
  p.n_batch = BATCH;
  p.n_seq_max = (uint32_t) streams;
  p.n_threads = p.n_threads_batch = threads;
  self->context = llama_init_from_model (model, p);
  if (self->context == NULL)
    {
      fprintf (stderr, "peer: no context\n");
      exit (1);
    }
  prefill (self, streams, 0, SHORT_PROMPT);
  decode (self, streams, SHORT_PROMPT, 2);
  llama_memory_clear (llama_get_memory (self->context), 1);
  prefill (self, streams, 0, depth);
  prefill_s = prefill (self, streams, depth, depth + prompt);
  llama_memory_seq_rm (llama_get_memory (self->context), -1, depth, -1);
  at = depth > 0 ? depth : SHORT_PROMPT;
  prefill (self, streams, depth, at);
  decode_s = decode (self, streams, at, n);
  printf ("{\"prefill\": %.2f, \"decode\": %.2f}\n", prompt > 0 ? streams * prompt / prefill_s : 0, n > 0 ? streams * n / decode_s : 0);
  fflush (stdout);
  llama_free (self->context);
}

int
main (int argc, char **argv)
{
  struct llama_model_params p;
  struct llama_model *model;
  Peer peer = { 0 };
  int c[4];

  if (argc != 4)
    {
      fprintf (stderr, "usage: peer CPU-LIBRARY MODEL.gguf THREADS\n");
      return 2;
    }
  llama_log_set (quiet, NULL);
  if (ggml_backend_load (argv[1]) == NULL)
    {
      fprintf (stderr, "peer: %s cannot be used on this CPU\n", argv[1]);
      return 1;
    }
  llama_backend_init ();
  p = llama_model_default_params ();
  model = llama_model_load_from_file (argv[2], p);
  if (model == NULL)
    return 1;
  peer.n_vocab = llama_vocab_n_tokens (llama_model_get_vocab (model));
  peer.batch = llama_batch_init (BATCH, 0, 1);
  puts ("{}");
  fflush (stdout);
  while (scanf ("%d %d %d %d", &c[0], &c[1], &c[2], &c[3]) == 4)
    measure (&peer, model, atoi (argv[3]), c);
  return 0;
}
