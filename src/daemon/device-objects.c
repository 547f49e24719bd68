/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/names.h"
#include "daemon/models.h"
#include "public-interface.h"

struct _LlmDeviceObjects {
  LlmBroker *broker;
  GPtrArray *objects; /* Object */
};

typedef struct {
  GDBusConnection *connection;
  char *path;
  GVariant *properties; /* a{sv} (owned) */
  guint registration;
} Object;

static void
object_free (gpointer data)
{
  Object *object = data;

  g_dbus_connection_unregister_object (object->connection, object->registration);
  g_variant_unref (object->properties);
  g_free (object->path);
  g_free (object);
}

LlmDeviceObjects *
llm_device_objects_new (LlmBroker *broker)
{
  LlmDeviceObjects *self = g_new0 (LlmDeviceObjects, 1);

  self->broker = broker;
  self->objects = g_ptr_array_new_with_free_func (object_free);
  return self;
}

void
llm_device_objects_free (LlmDeviceObjects *self)
{
  g_ptr_array_unref (self->objects);
  g_free (self);
}

static GVariant *
on_get_property (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *name, GError **error,
                 gpointer user_data)
{
  return g_variant_lookup_value (((Object *) user_data)->properties, name, NULL);
}

static GVariant *
make_properties (GVariant *device)
{
  const char *name = "", *driver = "", *type = "", *uuid = "";
  guint64 total = 0, budget = 0;
  GVariantBuilder out;

  g_variant_lookup (device, "name", "&s", &name);
  g_variant_lookup (device, "driver", "&s", &driver);
  g_variant_lookup (device, "type", "&s", &type);
  g_variant_lookup (device, "uuid", "&s", &uuid);
  g_variant_lookup (device, "memory-total", "t", &total);
  g_variant_lookup (device, "memory-budget", "t", &budget);
  g_variant_builder_init (&out, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&out, "{sv}", "Name", g_variant_new_string (name));
  g_variant_builder_add (&out, "{sv}", "Driver", g_variant_new_string (driver));
  g_variant_builder_add (&out, "{sv}", "Type", g_variant_new_string (type));
  g_variant_builder_add (&out, "{sv}", "Uuid", g_variant_new_string (uuid));
  g_variant_builder_add (&out, "{sv}", "MemoryTotal", g_variant_new_uint64 (total));
  g_variant_builder_add (&out, "{sv}", "MemoryBudget", g_variant_new_uint64 (budget));
  g_variant_builder_add (&out, "{sv}", "State", g_variant_new_string ("available"));
  return g_variant_ref_sink (g_variant_builder_end (&out));
}

void
llm_device_objects_update (LlmDeviceObjects *self, GVariant *engine_info)
{
  static const GDBusInterfaceVTable vtable = { NULL, on_get_property, NULL, { 0 } };
  g_autoptr (GVariant) devices = g_variant_lookup_value (engine_info, "devices", G_VARIANT_TYPE ("aa{sv}"));

  g_ptr_array_set_size (self->objects, 0);
  for (gsize i = 0; devices != NULL && i < g_variant_n_children (devices); i++)
    {
      g_autoptr (GVariant) device = g_variant_get_child_value (devices, i);
      Object *object = g_new0 (Object, 1);
      const char *id = "unknown";

      g_variant_lookup (device, "id", "&s", &id);
      object->connection = self->broker->connection;
      object->path = g_strdup_printf (LLM_PATH_DEVICES "/%s", id);
      object->properties = make_properties (device);
      object->registration = g_dbus_connection_register_object (self->broker->connection, object->path,
                                                                (GDBusInterfaceInfo *) &org_local_llmdevice_interface, &vtable, object, NULL, NULL);
      g_ptr_array_add (self->objects, object);
    }
}

void
llm_device_objects_add_to (LlmDeviceObjects *self, GVariantBuilder *objects)
{
  for (guint i = 0; i < self->objects->len; i++)
    {
      Object *object = self->objects->pdata[i];
      GVariantBuilder interfaces;

      g_variant_builder_init (&interfaces, G_VARIANT_TYPE ("a{sa{sv}}"));
      g_variant_builder_add (&interfaces, "{s@a{sv}}", LLM_IFACE_DEVICE, object->properties);
      g_variant_builder_add (objects, "{oa{sa{sv}}}", object->path, &interfaces);
    }
}
