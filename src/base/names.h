/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every bus name, object path and interface name of the product, once.
 */
#pragma once

#define LLM_BUS_NAME "org.local.LLM"
#define LLM_OBJECT_PATH "/org/local/LLM"
#define LLM_PATH_MODELS LLM_OBJECT_PATH "/model"      /* + /ESCAPED_NAME */
#define LLM_PATH_DEVICES LLM_OBJECT_PATH "/device"    /* + /INDEX */
#define LLM_PATH_REQUESTS LLM_OBJECT_PATH "/request"  /* + /SENDER/TOKEN */

#define LLM_IFACE "org.local.LLM"
#define LLM_IFACE_MODEL "org.local.LLM.Model"
#define LLM_IFACE_DEVICE "org.local.LLM.Device"
#define LLM_IFACE_REQUEST "org.local.LLM.Request"
#define LLM_IFACE_SETTINGS "org.local.LLM.Settings"

/* The private interface between broker and engine, on a socketpair, no bus. */
#define LLM_ENGINE_IFACE "org.local.LLM.Engine"
#define LLM_ENGINE_PATH "/org/local/LLM/Engine"

#define LLM_ERROR_PREFIX "org.local.LLM.Error."
#define LLM_SCHEMA_ID "org.local.LLM"

#define LLM_API_VERSION 3
