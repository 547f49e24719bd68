/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/models.h"

#include <string.h>

#include "base/error.h"
#include "base/names.h"
#include "daemon/loader.h"
#include "public-interface.h"

struct _LlmModels {
  LlmBroker *broker;
  GHashTable *objects; /* name -> Object */
  guint manager;       /* registration of the ObjectManager */
};

typedef struct {
  LlmModels *models;
  LlmStoreModel *model; /* (owned) */
  char *path;
  guint registration;
} Object;

static const char object_manager_xml[] =
  "<node><interface name='org.freedesktop.DBus.ObjectManager'>"
  "<method name='GetManagedObjects'><arg type='a{oa{sa{sv}}}' name='objects' direction='out'/></method>"
  "<signal name='InterfacesAdded'><arg type='o' name='object'/><arg type='a{sa{sv}}' name='interfaces'/></signal>"
  "<signal name='InterfacesRemoved'><arg type='o' name='object'/><arg type='as' name='interfaces'/></signal>"
  "</interface></node>";

/* Letters and digits stay, all else becomes _XX. */
char *
llm_models_path (const char *name)
{
  GString *path = g_string_new (LLM_PATH_MODELS "/");

  for (; *name != '\0'; name++)
    if (g_ascii_isalnum (*name))
      g_string_append_c (path, *name);
    else
      g_string_append_printf (path, "_%02x", (guint8) *name);
  return g_string_free (path, FALSE);
}

/* ---- properties ---- */

static GVariant *
info_value (const LlmStoreModel *model, const char *key, const char *type, GVariant *otherwise)
{
  GVariant *value = g_variant_lookup_value (model->info, key, G_VARIANT_TYPE (type));

  if (value == NULL)
    return otherwise;
  g_variant_unref (g_variant_ref_sink (otherwise));
  return value;
}

static GVariant *
get_property (LlmModels *self, const LlmStoreModel *model, const char *name)
{
  static const char *const nothing[] = { NULL };

  if (strcmp (name, "Name") == 0)
    return g_variant_new_string (model->name);
  if (strcmp (name, "Digest") == 0)
    return g_variant_new_string (model->digest);
  if (strcmp (name, "Source") == 0)
    return g_variant_new_string (model->source);
  if (strcmp (name, "Size") == 0)
    return g_variant_new_uint64 (model->size);
  if (strcmp (name, "Architecture") == 0)
    return info_value (model, "architecture", "s", g_variant_new_string (""));
  if (strcmp (name, "Quantization") == 0)
    return info_value (model, "quantization", "s", g_variant_new_string (""));
  if (strcmp (name, "License") == 0)
    return info_value (model, "license", "s", g_variant_new_string (""));
  if (strcmp (name, "ParameterCount") == 0)
    return info_value (model, "parameter-count", "t", g_variant_new_uint64 (0));
  if (strcmp (name, "ContextLength") == 0)
    return info_value (model, "context-length", "u", g_variant_new_uint32 (0));
  if (strcmp (name, "Capabilities") == 0)
    return info_value (model, "capabilities", "as", g_variant_new_strv (nothing, 0));
  if (strcmp (name, "Version") == 0)
    return g_variant_new_string (model->version);
  if (strcmp (name, "Aliases") == 0)
    {
      g_auto (GStrv) aliases = llm_store_aliases (self->broker->store, model->name);
      return g_variant_new_strv ((const char *const *) aliases, -1);
    }
  if (strcmp (name, "Pinned") == 0)
    return g_variant_new_boolean (model->pinned);
  if (strcmp (name, "State") == 0)
    return g_variant_new_string (!llm_store_check (self->broker->store, model, NULL) ? "damaged" : llm_load_state_name (llm_loader_state (self->broker->loader, model->digest)));
  return g_variant_new_uint64 (llm_loader_memory_bytes (self->broker->loader, model->digest));
}

GVariant *
llm_models_properties (LlmModels *self, const LlmStoreModel *model)
{
  GVariantBuilder all;

  g_variant_builder_init (&all, G_VARIANT_TYPE_VARDICT);
  for (guint i = 0; org_local_llmmodel_interface.properties[i] != NULL; i++)
    {
      const char *name = org_local_llmmodel_interface.properties[i]->name;
      g_autoptr (GVariant) value = g_variant_take_ref (get_property (self, model, name));

      g_variant_builder_add (&all, "{sv}", name, value);
    }
  return g_variant_builder_end (&all);
}

static GVariant *
on_get_property (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *name, GError **error,
                 gpointer user_data)
{
  Object *object = user_data;

  return g_variant_take_ref (get_property (object->models, object->model, name));
}

static void
on_method_call (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *method, GVariant *params,
                GDBusMethodInvocation *invocation, gpointer user_data)
{
  Object *object = user_data;

  llm_model_call (object->models->broker, object->model, invocation);
}

/* ---- objects ---- */

static void
emit (LlmModels *self, const char *path, const char *interface, const char *name, GVariant *params)
{
  g_dbus_connection_emit_signal (self->broker->connection, NULL, path, interface, name, params, NULL);
}

static void
object_free (gpointer data)
{
  Object *object = data;

  if (object->registration != 0)
    g_dbus_connection_unregister_object (object->models->broker->connection, object->registration);
  llm_store_model_unref (object->model);
  g_free (object->path);
  g_free (object);
}

static void
object_changed (Object *object)
{
  emit (object->models, object->path, "org.freedesktop.DBus.Properties", "PropertiesChanged",
        g_variant_new ("(s@a{sv}as)", LLM_IFACE_MODEL, llm_models_properties (object->models, object->model), NULL));
}

static void
object_add (LlmModels *self, LlmStoreModel *model)
{
  static const GDBusInterfaceVTable vtable = { on_method_call, on_get_property, NULL, { 0 } };
  Object *object = g_new0 (Object, 1);
  GVariantBuilder interfaces;

  object->models = self;
  object->model = llm_store_model_ref (model);
  object->path = llm_models_path (model->name);
  object->registration = g_dbus_connection_register_object (self->broker->connection, object->path, (GDBusInterfaceInfo *) &org_local_llmmodel_interface,
                                                            &vtable, object, NULL, NULL);
  g_hash_table_insert (self->objects, g_strdup (model->name), object);
  g_variant_builder_init (&interfaces, G_VARIANT_TYPE ("a{sa{sv}}"));
  g_variant_builder_add (&interfaces, "{s@a{sv}}", LLM_IFACE_MODEL, llm_models_properties (self, model));
  emit (self, LLM_OBJECT_PATH, "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", g_variant_new ("(oa{sa{sv}})", object->path, &interfaces));
}

static void
object_remove (LlmModels *self, const char *name)
{
  Object *object = g_hash_table_lookup (self->objects, name);
  static const char *const interfaces[] = { LLM_IFACE_MODEL, NULL };

  emit (self, LLM_OBJECT_PATH, "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", g_variant_new ("(o^as)", object->path, interfaces));
  g_hash_table_remove (self->objects, name);
}

void
llm_models_sync (LlmModels *self)
{
  g_autoptr (GPtrArray) list = llm_store_list (self->broker->store);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *default_model = NULL;
  GHashTableIter iter;
  gpointer key;

  for (guint i = 0; i < list->len; i++)
    {
      LlmStoreModel *model = list->pdata[i];
      Object *object = g_hash_table_lookup (self->objects, model->name);

      if (object == NULL)
        object_add (self, model);
      else if (object->model != model)
        {
          llm_store_model_unref (object->model);
          object->model = llm_store_model_ref (model);
          object_changed (object);
        }
    }
  g_hash_table_iter_init (&iter, self->objects);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    if (!llm_store_has_model (self->broker->store, key))
      g_ptr_array_add (names, g_strdup (key));
  for (guint i = 0; i < names->len; i++)
    object_remove (self, names->pdata[i]);
  llm_loader_store_changed (self->broker->loader);
  if (self->broker->collector == NULL)
    return; /* shutting down */
  llm_collector_trigger (self->broker->collector, "the models have changed");
  if (self->broker->bundled_pending == 0)
    llm_update_begin (self->broker->update);
  default_model = llm_broker_default_model (self->broker);
  llm_broker_notify (self->broker, "DefaultModel", g_variant_new_string (default_model));
}

void
llm_models_aliases_changed (LlmModels *self)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->objects);
  while (g_hash_table_iter_next (&iter, NULL, &value)) /* one may have lost what another has now */
    object_changed (value);
}

void
llm_models_damage_changed (LlmModels *self)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->objects);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (!llm_store_check (self->broker->store, ((Object *) value)->model, NULL))
      object_changed (value);
  llm_loader_store_changed (self->broker->loader);
}

void
llm_models_load_changed (LlmModels *self, const char *digest)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->objects);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (strcmp (((Object *) value)->model->digest, digest) == 0)
      object_changed (value);
  if (self->broker->update != NULL)
    llm_update_loads_changed (self->broker->update);
  llm_broker_notify (self->broker, "LoadedModels", llm_models_loaded_paths (self));
}

/* ---- lists ---- */

static gboolean
matches (const LlmStoreModel *model, GVariant *filter)
{
  const char *architecture = NULL, *capability = NULL, *has = "";
  g_autofree const char **capabilities = NULL;

  g_variant_lookup (model->info, "architecture", "&s", &has);
  if (g_variant_lookup (filter, "architecture", "&s", &architecture) && strcmp (architecture, has) != 0)
    return FALSE;
  if (!g_variant_lookup (filter, "capability", "&s", &capability))
    return TRUE;
  return g_variant_lookup (model->info, "capabilities", "^a&s", &capabilities) && g_strv_contains (capabilities, capability);
}

GVariant *
llm_models_list (LlmModels *self, GVariant *filter)
{
  g_autoptr (GPtrArray) list = llm_store_list (self->broker->store);
  GVariantBuilder out;

  g_variant_builder_init (&out, G_VARIANT_TYPE ("a(osa{sv})"));
  for (guint i = 0; i < list->len; i++)
    {
      LlmStoreModel *model = list->pdata[i];
      g_autofree char *path = llm_models_path (model->name);

      if (matches (model, filter))
        g_variant_builder_add (&out, "(os@a{sv})", path, model->name, llm_models_properties (self, model));
    }
  return g_variant_builder_end (&out);
}

GVariant *
llm_models_loaded_paths (LlmModels *self)
{
  GVariantBuilder out;
  GHashTableIter iter;
  gpointer value;

  g_variant_builder_init (&out, G_VARIANT_TYPE ("ao"));
  g_hash_table_iter_init (&iter, self->objects);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (llm_loader_state (self->broker->loader, ((Object *) value)->model->digest) == LLM_LOAD_LOADED)
      g_variant_builder_add (&out, "o", ((Object *) value)->path);
  return g_variant_builder_end (&out);
}

static void
on_get_managed_objects (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *method, GVariant *params,
                        GDBusMethodInvocation *invocation, gpointer user_data)
{
  LlmModels *self = user_data;
  GVariantBuilder objects;
  GHashTableIter iter;
  gpointer value;

  g_variant_builder_init (&objects, G_VARIANT_TYPE ("a{oa{sa{sv}}}"));
  g_hash_table_iter_init (&iter, self->objects);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Object *object = value;
      GVariantBuilder interfaces;

      g_variant_builder_init (&interfaces, G_VARIANT_TYPE ("a{sa{sv}}"));
      g_variant_builder_add (&interfaces, "{s@a{sv}}", LLM_IFACE_MODEL, llm_models_properties (self, object->model));
      g_variant_builder_add (&objects, "{oa{sa{sv}}}", object->path, &interfaces);
    }
  llm_device_objects_add_to (self->broker->devices, &objects);
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(a{oa{sa{sv}}})", &objects));
}

LlmModels *
llm_models_new (LlmBroker *broker)
{
  static const GDBusInterfaceVTable vtable = { on_get_managed_objects, NULL, NULL, { 0 } };
  g_autoptr (GDBusNodeInfo) node = g_dbus_node_info_new_for_xml (object_manager_xml, NULL);
  LlmModels *self = g_new0 (LlmModels, 1);

  self->broker = broker;
  self->objects = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, object_free);
  self->manager = g_dbus_connection_register_object (broker->connection, LLM_OBJECT_PATH, node->interfaces[0], &vtable, self, NULL, NULL);
  return self;
}

void
llm_models_free (LlmModels *self)
{
  g_dbus_connection_unregister_object (self->broker->connection, self->manager);
  g_hash_table_unref (self->objects);
  g_free (self);
}
