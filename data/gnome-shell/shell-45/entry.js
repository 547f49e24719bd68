// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The form for GNOME 45 and later. client.js and menu.js follow in the same file.

import Clutter from 'gi://Clutter';
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GObject from 'gi://GObject';
import Pango from 'gi://Pango';
import St from 'gi://St';

import Gettext from 'gettext';

import {Extension} from 'resource:///org/gnome/shell/extensions/extension.js';
import * as Main from 'resource:///org/gnome/shell/ui/main.js';
import * as PanelMenu from 'resource:///org/gnome/shell/ui/panelMenu.js';
import * as PopupMenu from 'resource:///org/gnome/shell/ui/popupMenu.js';

const _ = text => Gettext.dgettext('local-llm', text);

export default class LlmExtension extends Extension {
    constructor(metadata) {
        super(metadata);
        Gettext.bindtextdomain('local-llm', metadata['locale-dir']);
    }

    enable() {
        this._indicator = new LlmIndicator(this.getSettings());
        Main.panel.addToStatusArea(this.uuid, this._indicator);
    }

    disable() {
        this._indicator.destroy();
        this._indicator = null;
    }
}

