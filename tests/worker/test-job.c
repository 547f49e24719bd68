/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The request dictionary of Submit: every key arrives in its field, every wrong type and unknown
 * key is refused by name.
 */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "chat/forms.h"
#include "worker/job.h"

static LlmJob *
read_job (const char *text, GError **error)
{
  g_autoptr (GVariant) request = g_variant_ref_sink (g_variant_new_parsed (text));

  return llm_job_from_variant (7, 1000, 9, "digest", request, error);
}

static void
test_everything (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmJob) job = read_job (
    "{'prompt': <'Once'>, 'raw': <true>, 'echo': <true>, 'max-tokens': <@u 5>, 'stop': <['a', 'bc']>, 'logprobs': <@u 3>, 'deadline-ms': <@u 100>,"
    " 'temperature': <0.5>, 'top-k': <@u 6>, 'top-p': <0.25>, 'min-p': <0.125>, 'repetition-penalty': <1.5>, 'frequency-penalty': <-0.5>,"
    " 'typical-p': <0.9>, 'top-n-sigma': <1.5>, 'xtc-probability': <0.3>, 'xtc-threshold': <0.2>, 'dry-multiplier': <0.8>, 'dry-base': <2.0>,"
    " 'dry-allowed-length': <@u 3>, 'dry-breakers': <['.']>, 'presence-penalty': <0.75>, 'logit-bias': <{@u 4: -2.0, 5: 8.0}>, 'seed': <@t 18446744073709551615>}",
    &error);

  g_assert_no_error (error);
  g_assert_cmpuint (job->id, ==, 7);
  g_assert_cmpuint (job->uid, ==, 1000);
  g_assert_cmpuint (job->client, ==, 9);
  g_assert_cmpstr (job->digest, ==, "digest");
  g_assert_cmpstr (job->prompt, ==, "Once");
  g_assert_null (job->messages);
  g_assert_true (job->raw && job->echo);
  g_assert_cmpuint (job->max_tokens, ==, 5);
  g_assert_cmpuint (g_strv_length (job->stop), ==, 2);
  g_assert_cmpstr (job->stop[1], ==, "bc");
  g_assert_cmpuint (job->logprobs, ==, 3);
  g_assert_cmpuint (job->deadline_ms, ==, 100);
  g_assert_cmpfloat (job->sampling.temperature, ==, 0.5);
  g_assert_cmpuint (job->sampling.top_k, ==, 6);
  g_assert_cmpfloat (job->sampling.top_p, ==, 0.25);
  g_assert_cmpfloat (job->sampling.min_p, ==, 0.125);
  g_assert_cmpfloat (job->sampling.repetition_penalty, ==, 1.5);
  g_assert_cmpfloat (job->sampling.frequency_penalty, ==, -0.5);
  g_assert_cmpfloat (job->sampling.presence_penalty, ==, 0.75);
  g_assert_true (job->sampling.typical_p == 0.9 && job->sampling.top_n_sigma == 1.5 && job->sampling.xtc_probability == 0.3);
  g_assert_true (job->sampling.xtc_threshold == 0.2 && job->sampling.dry_multiplier == 0.8 && job->sampling.dry_base == 2);
  g_assert_cmpuint (job->sampling.dry_allowed_length, ==, 3);
  g_assert_cmpstr (job->dry_breakers[0], ==, ".");
  g_assert_cmpuint (job->sampling.logit_bias->len, ==, 2);
  g_assert_cmpint (g_array_index (job->sampling.logit_bias, LlmLogitBias, 1).token, ==, 5);
  g_assert_cmpfloat (g_array_index (job->sampling.logit_bias, LlmLogitBias, 1).bias, ==, 8);
  g_assert_true (job->sampling.has_seed);
  g_assert_cmpuint (job->sampling.seed, ==, G_MAXUINT64);
}

static void
test_defaults (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmJob) job = read_job ("{'messages': <[{'role': <'system'>, 'content': <'a'>}, {'role': <'user'>, 'content': <'b'>}]>}", &error);

  g_assert_no_error (error);
  g_assert_null (job->prompt);
  g_assert_cmpuint (job->messages->len, ==, 2);
  g_assert_cmpint (((const LlmMessage *) job->messages->pdata[0])->role, ==, LLM_ROLE_SYSTEM);
  g_assert_cmpfloat (job->sampling.temperature, ==, LLM_DEFAULT_TEMPERATURE);
  g_assert_cmpuint (job->sampling.top_k, ==, LLM_DEFAULT_TOP_K);
  g_assert_false (job->sampling.has_seed);
  g_assert_false (job->raw || job->echo);
  g_assert_cmpuint (job->max_tokens, ==, 0);
}

/* A dictionary on the wire may hold a key twice: the last one counts, nothing leaks. */
static void
test_twice (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmJob) job = read_job ("[{'prompt', <'a'>}, {'prompt', <'b'>}, {'stop', <['x']>}, {'stop', <['y']>}, {'logit-bias', <{@u 1: 1.0}>},"
                                     " {'logit-bias', <{@u 2: 1.0}>}]",
                                     &error);

  g_assert_no_error (error);
  g_assert_cmpstr (job->prompt, ==, "b");
  g_assert_cmpstr (job->stop[0], ==, "y");
  g_assert_cmpuint (job->sampling.logit_bias->len, ==, 1);
}

typedef struct {
  const char *name, *request, *message; /* glob */
} Refusal;

static const Refusal invalid_args[] = {
  { "empty", "@a{sv} {}", "*one of prompt and messages*" },
  { "both", "{'prompt': <'a'>, 'messages': <[{'role': <'user'>, 'content': <'b'>}]>}", "*one of prompt and messages*" },
  { "raw-without-prompt", "{'raw': <true>, 'messages': <[{'role': <'user'>, 'content': <'b'>}]>}", "*raw goes with prompt*" },
  { "unknown", "{'prompt': <'a'>, 'temprature': <0.5>}", "unknown key \"temprature\"" },
  { "unknown-empty", "{'prompt': <'a'>, '': <0.5>}", "unknown key \"\"" },
  { "type/prompt", "{'prompt': <@u 1>}", "prompt is of type u; s is needed" },
  { "type/messages", "{'messages': <'a'>}", "messages is of type s; aa{sv} is needed" },
  { "type/raw", "{'prompt': <'a'>, 'raw': <@u 1>}", "raw is of type u; b is needed" },
  { "type/echo", "{'prompt': <'a'>, 'echo': <'yes'>}", "echo is of type s; b is needed" },
  { "type/max-tokens", "{'prompt': <'a'>, 'max-tokens': <5>}", "max-tokens is of type i; u is needed" },
  { "type/stop", "{'prompt': <'a'>, 'stop': <'x'>}", "stop is of type s; as is needed" },
  { "type/logprobs", "{'prompt': <'a'>, 'logprobs': <@t 1>}", "logprobs is of type t; u is needed" },
  { "type/deadline-ms", "{'prompt': <'a'>, 'deadline-ms': <@t 1>}", "deadline-ms is of type t; u is needed" },
  { "type/temperature", "{'prompt': <'a'>, 'temperature': <@u 1>}", "temperature is of type u; d is needed" },
  { "type/typical-p", "{'prompt': <'a'>, 'typical-p': <@u 1>}", "typical-p is of type u; d is needed" },
  { "type/dry-allowed-length", "{'prompt': <'a'>, 'dry-allowed-length': <1>}", "dry-allowed-length is of type i; u is needed" },
  { "type/dry-breakers", "{'prompt': <'a'>, 'dry-breakers': <'x'>}", "dry-breakers is of type s; as is needed" },
  { "type/top-k", "{'prompt': <'a'>, 'top-k': <1.0>}", "top-k is of type d; u is needed" },
  { "type/top-p", "{'prompt': <'a'>, 'top-p': <'1'>}", "top-p is of type s; d is needed" },
  { "type/min-p", "{'prompt': <'a'>, 'min-p': <1>}", "min-p is of type i; d is needed" },
  { "type/repetition-penalty", "{'prompt': <'a'>, 'repetition-penalty': <1>}", "repetition-penalty is of type i; d is needed" },
  { "type/frequency-penalty", "{'prompt': <'a'>, 'frequency-penalty': <1>}", "frequency-penalty is of type i; d is needed" },
  { "type/presence-penalty", "{'prompt': <'a'>, 'presence-penalty': <1>}", "presence-penalty is of type i; d is needed" },
  { "type/logit-bias", "{'prompt': <'a'>, 'logit-bias': <{'4': 1.0}>}", "logit-bias is of type a{sd}; a{ud} is needed" },
  { "type/seed", "{'prompt': <'a'>, 'seed': <@u 1>}", "seed is of type u; t is needed" },
};

static const Refusal invalid_message[] = {
  { "message/none", "{'messages': <@aa{sv} []>}", "*" },
  { "message/role", "{'messages': <[{'role': <'king'>, 'content': <'a'>}]>}", "*0*" },
  { "message/no-content", "{'messages': <[{'role': <'user'>, 'content': <'a'>}, {'role': <'assistant'>}]>}", "*1*" },
  { "message/content-type", "{'messages': <[{'role': <'user'>, 'content': <@u 5>}]>}", "*0*" },
  { "message/unknown-key", "{'messages': <[{'role': <'user'>, 'content': <'a'>, 'colour': <'red'>}]>}", "*colour*" },
};

static void
test_refusal (gconstpointer data)
{
  const Refusal *refusal = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmJob) job = read_job (refusal->request, &error);

  g_assert_null (job);
  if (g_str_has_prefix (refusal->name, "message/"))
    g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE);
  else
    g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  if (!g_pattern_match_simple (refusal->message, error->message))
    g_error ("%s", error->message);
}

/* A key as long as a client likes does not come back whole. */
static void
test_long_key (void)
{
  g_autofree char *key = g_strnfill (1 << 20, 'k');
  g_autofree char *request = g_strdup_printf ("{'%s': <1>}", key);
  g_autoptr (GError) error = NULL;

  g_assert_null (read_job (request, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  g_assert_cmpuint (strlen (error->message), <, 200);
}

static void
add_refusals (const Refusal *refusals, gsize n)
{
  for (gsize i = 0; i < n; i++)
    {
      g_autofree char *path = g_strconcat ("/job/refuses/", refusals[i].name, NULL);

      g_test_add_data_func (path, &refusals[i], test_refusal);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/job/everything", test_everything);
  g_test_add_func ("/job/defaults", test_defaults);
  g_test_add_func ("/job/twice", test_twice);
  g_test_add_func ("/job/long-key", test_long_key);
  add_refusals (invalid_args, G_N_ELEMENTS (invalid_args));
  add_refusals (invalid_message, G_N_ELEMENTS (invalid_message));
  return g_test_run ();
}
