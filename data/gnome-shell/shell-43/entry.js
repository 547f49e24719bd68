// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The form for GNOME 43 and 44. client.js and menu.js follow in the same file.

const {Clutter, Gio, GLib, GObject, Pango, St} = imports.gi;
const Gettext = imports.gettext;
const ExtensionUtils = imports.misc.extensionUtils;
const Main = imports.ui.main;
const PanelMenu = imports.ui.panelMenu;
const PopupMenu = imports.ui.popupMenu;

const _ = text => Gettext.dgettext('local-llm', text);

class LlmExtension {
    constructor({uuid, metadata}) {
        this._uuid = uuid;
        Gettext.bindtextdomain('local-llm', metadata['locale-dir']);
    }

    enable() {
        this._indicator = new LlmIndicator(ExtensionUtils.getSettings());
        Main.panel.addToStatusArea(this._uuid, this._indicator);
    }

    disable() {
        this._indicator.destroy();
        this._indicator = null;
    }
}

function init(extension) {
    return new LlmExtension(extension);
}

