/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/outbox.h"

#include <string.h>

#include "base/limits.h"
#include "base/names.h"

struct _LlmOutbox {
  GDBusConnection *connection; /* (owned) */
  GMainContext *context;       /* (owned) */
  GHashTable *streams;         /* id -> Stream */
  guint flush_timer;
};

/* What is gathered of one request. */
typedef struct {
  guint64 id;
  LlmModel *model; /* (owned, nullable) */
  gboolean begun;  /* the first text is out */
  GString *text;
  GArray *tokens;
  GPtrArray *logprobs; /* GVariant a{sv} (owned) */
} Stream;

/* One event on its way to the main loop. */
typedef struct {
  LlmOutbox *outbox;
  enum { EVENT_DELTA, EVENT_STATE, EVENT_DONE } kind;
  guint64 id;
  char *text;
  GArray *tokens;
  GPtrArray *logprobs; /* LlmTokenLogprobs (owned) */
  LlmRequestState state;
  guint position;
  GVariant *result;
} Event;

static void
stream_free (gpointer data)
{
  Stream *stream = data;

  g_clear_pointer (&stream->model, llm_model_unref);
  g_string_free (stream->text, TRUE);
  g_array_unref (stream->tokens);
  g_ptr_array_unref (stream->logprobs);
  g_free (stream);
}

LlmOutbox *
llm_outbox_new (GDBusConnection *connection)
{
  LlmOutbox *self = g_new0 (LlmOutbox, 1);

  self->connection = g_object_ref (connection);
  self->context = g_main_context_ref_thread_default ();
  self->streams = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, stream_free);
  return self;
}

void
llm_outbox_free (LlmOutbox *self)
{
  g_clear_handle_id (&self->flush_timer, g_source_remove);
  g_hash_table_unref (self->streams);
  g_main_context_unref (self->context);
  g_object_unref (self->connection);
  g_free (self);
}

void
llm_outbox_begin (LlmOutbox *self, guint64 id, LlmModel *model)
{
  Stream *stream = g_new0 (Stream, 1);

  stream->id = id;
  stream->model = model != NULL ? llm_model_ref (model) : NULL;
  stream->text = g_string_new (NULL);
  stream->tokens = g_array_new (FALSE, FALSE, sizeof (guint32));
  stream->logprobs = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);
  g_hash_table_replace (self->streams, &stream->id, stream);
}

void
llm_outbox_end (LlmOutbox *self, guint64 id)
{
  g_hash_table_remove (self->streams, &id);
}

/* ---- main loop: out ---- */

static void
emit (LlmOutbox *self, const char *name, GVariant *params)
{
  g_dbus_connection_emit_signal (self->connection, NULL, LLM_ENGINE_PATH, LLM_ENGINE_IFACE, name, params, NULL);
}

static void
flush (LlmOutbox *self, Stream *stream)
{
  GVariantBuilder details;

  if (stream->text->len == 0 && stream->tokens->len == 0 && stream->logprobs->len == 0)
    return;
  g_variant_builder_init (&details, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&details, "{sv}", "tokens",
                         g_variant_new_fixed_array (G_VARIANT_TYPE_UINT32, stream->tokens->data, stream->tokens->len, sizeof (guint32)));
  if (stream->logprobs->len > 0)
    g_variant_builder_add (&details, "{sv}", "logprobs",
                           g_variant_new_array (G_VARIANT_TYPE_VARDICT, (GVariant *const *) stream->logprobs->pdata, stream->logprobs->len));
  emit (self, "Delta", g_variant_new ("(tussa{sv})", stream->id, 0, "content", stream->text->str, &details));
  stream->begun = stream->begun || stream->text->len > 0;
  g_string_truncate (stream->text, 0);
  g_array_set_size (stream->tokens, 0);
  g_ptr_array_set_size (stream->logprobs, 0);
}

static gboolean
on_flush_timer (gpointer user_data)
{
  LlmOutbox *self = user_data;
  GHashTableIter iter;
  gpointer stream;

  self->flush_timer = 0;
  g_hash_table_iter_init (&iter, self->streams);
  while (g_hash_table_iter_next (&iter, NULL, &stream))
    flush (self, stream);
  return G_SOURCE_REMOVE;
}

static char *
token_text (const Stream *stream, gint32 id)
{
  LlmStr piece = { "", 0 };

  if (stream->model != NULL)
    llm_vocab_piece (llm_model_vocab (stream->model), id, &piece);
  return g_utf8_make_valid (piece.bytes, (gssize) piece.len);
}

static GVariant *
logprobs_to_variant (const Stream *stream, const LlmTokenLogprobs *lp)
{
  g_autofree char *text = token_text (stream, lp->token);
  GVariantBuilder dict, top;

  g_variant_builder_init (&top, G_VARIANT_TYPE ("a(usd)"));
  for (guint i = 0; i < lp->n_top; i++)
    {
      g_autofree char *other = token_text (stream, lp->top_token[i]);
      g_variant_builder_add (&top, "(usd)", (guint32) lp->top_token[i], other, (double) lp->top_logprob[i]);
    }
  g_variant_builder_init (&dict, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&dict, "{sv}", "token", g_variant_new_uint32 ((guint32) lp->token));
  g_variant_builder_add (&dict, "{sv}", "text", g_variant_new_string (text));
  g_variant_builder_add (&dict, "{sv}", "logprob", g_variant_new_double ((double) lp->logprob));
  g_variant_builder_add (&dict, "{sv}", "top", g_variant_builder_end (&top));
  return g_variant_ref_sink (g_variant_builder_end (&dict));
}

static void
handle_delta (LlmOutbox *self, Stream *stream, Event *event)
{
  g_string_append (stream->text, event->text);
  g_array_append_vals (stream->tokens, event->tokens->data, event->tokens->len);
  for (guint i = 0; i < event->logprobs->len; i++)
    g_ptr_array_add (stream->logprobs, logprobs_to_variant (stream, event->logprobs->pdata[i]));
  if (!stream->begun || stream->text->len >= LLM_DELTA_COALESCE_BYTES)
    flush (self, stream);
  else if (self->flush_timer == 0)
    self->flush_timer = g_timeout_add (LLM_DELTA_COALESCE_MS, on_flush_timer, self);
}

static gboolean
deliver (gpointer user_data)
{
  Event *event = user_data;
  LlmOutbox *self = event->outbox;
  Stream *stream = g_hash_table_lookup (self->streams, &event->id);

  if (stream == NULL)
    return G_SOURCE_REMOVE;
  if (event->kind == EVENT_DELTA)
    handle_delta (self, stream, event);
  else if (event->kind == EVENT_STATE)
    emit (self, "State", g_variant_new ("(tsu)", event->id, llm_request_state_name (event->state), event->position));
  else
    {
      flush (self, stream);
      emit (self, "Done", g_variant_new ("(t@a{sv})", event->id, event->result));
      g_hash_table_remove (self->streams, &event->id);
    }
  return G_SOURCE_REMOVE;
}

static void
event_free (gpointer data)
{
  Event *event = data;

  g_free (event->text);
  g_clear_pointer (&event->tokens, g_array_unref);
  g_clear_pointer (&event->logprobs, g_ptr_array_unref);
  g_clear_pointer (&event->result, g_variant_unref);
  g_free (event);
}

/* ---- engine thread: in ---- */

static void
hand_over (LlmOutbox *self, Event event)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  event.outbox = self;
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, deliver, g_memdup2 (&event, sizeof event), event_free);
  g_source_attach (source, self->context);
}

static void
logprobs_free (gpointer data)
{
  LlmTokenLogprobs *lp = data;

  g_free ((gpointer) lp->top_token);
  g_free ((gpointer) lp->top_logprob);
  g_free (lp);
}

static void
on_delta (guint64 id, guint choice, const char *channel, const char *text, gsize len, const gint32 *tokens, guint n_tokens,
          const LlmTokenLogprobs *logprobs, guint n_logprobs, gpointer user_data)
{
  Event event = { .kind = EVENT_DELTA, .id = id, .text = g_strndup (text, len) };

  event.tokens = g_array_sized_new (FALSE, FALSE, sizeof (guint32), n_tokens);
  if (n_tokens > 0)
    g_array_append_vals (event.tokens, tokens, n_tokens);
  event.logprobs = g_ptr_array_new_with_free_func (logprobs_free);
  for (guint i = 0; i < n_logprobs; i++)
    {
      LlmTokenLogprobs *copy = g_memdup2 (&logprobs[i], sizeof *copy);

      copy->top_token = g_memdup2 (copy->top_token, copy->n_top * sizeof *copy->top_token);
      copy->top_logprob = g_memdup2 (copy->top_logprob, copy->n_top * sizeof *copy->top_logprob);
      g_ptr_array_add (event.logprobs, copy);
    }
  hand_over (user_data, event);
}

static void
on_state (guint64 id, LlmRequestState state, guint position, gpointer user_data)
{
  hand_over (user_data, (Event) { .kind = EVENT_STATE, .id = id, .state = state, .position = position });
}

static void
on_done (guint64 id, const LlmResult *r, const GError *error, gpointer user_data)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&dict, "finish-reason", "s", r->finish_reason);
  g_variant_dict_insert (&dict, "prompt-tokens", "u", r->prompt_tokens);
  g_variant_dict_insert (&dict, "cached-tokens", "u", r->cached_tokens);
  g_variant_dict_insert (&dict, "output-tokens", "u", r->output_tokens);
  g_variant_dict_insert (&dict, "context-used", "u", r->context_used);
  g_variant_dict_insert (&dict, "queue-us", "t", (guint64) MAX (r->queue_us, 0));
  g_variant_dict_insert (&dict, "load-us", "t", (guint64) MAX (r->load_us, 0));
  g_variant_dict_insert (&dict, "prefill-us", "t", (guint64) MAX (r->prefill_us, 0));
  g_variant_dict_insert (&dict, "decode-us", "t", (guint64) MAX (r->decode_us, 0));
  if (error != NULL)
    {
      g_autofree char *name = llm_error_dbus_name (error);

      g_variant_dict_insert (&dict, "error-name", "s", name);
      g_variant_dict_insert (&dict, "error-message", "s", error->message);
    }
  hand_over (user_data, (Event) { .kind = EVENT_DONE, .id = id, .result = g_variant_ref_sink (g_variant_dict_end (&dict)) });
}

const LlmEngineEvents llm_outbox_events = { on_delta, on_state, on_done };
