// SPDX-License-Identifier: LGPL-2.1-or-later
// Stands before data/gnome-shell/client.js, as the entry of a form of the extension does: the same file as a module of its own.
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

const _ = text => text;

export {LlmClient, describeError};

