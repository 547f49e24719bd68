// SPDX-License-Identifier: LGPL-2.1-or-later
// As much of GNOME Shell as menu.js and the entries touch, without a screen: actors that keep their properties and children.
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import GObject from 'gi://GObject';

class Emitter {
    constructor(params = {}) {
        this.handlers = new Map();
        Object.assign(this, params);
    }

    connect(name, callback) {
        const id = this.handlers.size + 1;
        this.handlers.set(id, [name, callback]);
        return id;
    }

    emit(name, ...args) {
        for (const [, callback] of [...this.handlers.values()].filter(([other]) => other === name))
            callback(this, ...args);
    }

    set(params) {
        Object.assign(this, params);
    }
}

class Actor extends Emitter {
    constructor(params) {
        super({children: [], visible: true, reactive: true, ...params});
    }

    add_child(child) {
        this.children.push(child);
    }

    grab_key_focus() {}
}

class Entry extends Actor {
    text = '';
    clutter_text = new Emitter();

    get_text() {
        return this.text;
    }
}

class BoxLayout extends Actor {
    vadjustment = new Emitter({value: 0, upper: 0, page_size: 0});
}

// Until GNOME 45 a ScrollView took its child by add_actor; from 46 on only by set_child.
class OldScrollView extends Actor {
    add_actor(child) {
        this.child = child;
    }
}

class NewScrollView extends Actor {
    set_child(child) {
        this.child = child;
    }
}

class Label extends Actor {
    clutter_text = new Emitter();
}

const Button = GObject.registerClass({Signals: {destroy: {}}}, class Button extends GObject.Object {
    _init(_alignment, name) {
        super._init();
        this.name = name;
        this.menu = new Emitter({actor: new Actor(), items: [], addMenuItem: item => this.menu.items.push(item)});
    }

    add_child() {}

    destroy() {
        this.emit('destroy');
    }
});

export const clipboard = {text: null, set_text: (_type, text) => { clipboard.text = text; }};
export const statusArea = {};
export const timers = new Set(); // of GLib.timeout_add

const {timeout_add: timeoutAdd, source_remove: sourceRemove} = GLib;
GLib.timeout_add = (priority, ms, callback) => {
    const id = timeoutAdd(priority, ms, () => {
        const again = callback();
        if (!again)
            timers.delete(id);
        return again;
    });
    timers.add(id);
    return id;
};
GLib.source_remove = id => timers.delete(id) && sourceRemove(id);

// -> `imports`, as the form for GNOME 43 sees it
export function standIn(form, settings) {
    const namespaces = {
        Clutter: {ActorAlign: {}, BoxLayout: Emitter, Orientation: {VERTICAL: 1}},
        Pango: {EllipsizeMode: {NONE: 0}, WrapMode: {WORD_CHAR: 2}},
        St: {BoxLayout, Button: Actor, Clipboard: {get_default: () => clipboard}, ClipboardType: {CLIPBOARD: 1}, Entry, Icon: Actor, Label,
            PolicyType: {NEVER: 2, AUTOMATIC: 1}, ScrollView: form === '43' ? OldScrollView : NewScrollView, Widget: Actor},
    };
    const panel = {addToStatusArea: (uuid, indicator) => { statusArea[uuid] = indicator; }};
    class Extension {
        constructor(metadata) {
            this.uuid = metadata.uuid;
        }

        getSettings() {
            return settings;
        }
    }
    const shell = {
        extension: {Extension},
        extensionUtils: {getSettings: () => settings},
        main: {panel},
        panelMenu: {Button},
        popupMenu: {PopupBaseMenuItem: Actor},
    };

    globalThis.standIn = {...shell, ...namespaces}; // for the modules of stand-in.gresource.xml
    return {gi: {Gio, GLib, GObject, ...namespaces}, gettext: imports.gettext, misc: {extensionUtils: shell.extensionUtils}, ui: shell};
}

// A schema of the build, from its own folder.
export function openSettings(folder) {
    const source = Gio.SettingsSchemaSource.new_from_directory(folder, Gio.SettingsSchemaSource.get_default(), false);

    return new Gio.Settings({settings_schema: source.lookup('org.gnome.shell.extensions.local-llm', false)});
}
