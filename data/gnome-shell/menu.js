// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The button in the panel and its menu: draws what an LlmClient says, and nothing else.
//
// Like client.js it imports nothing, and it keeps to what GNOME Shell 43 to 48 have in common. The entry brings Clutter, GLib, GObject,
// Pango, St, PanelMenu, PopupMenu and _.

const LLM_DRAW_MS = 50; // tokens come faster than anybody reads; the text is laid out anew at most this often

const LlmIndicator = GObject.registerClass(
class LlmIndicator extends PanelMenu.Button {
    _init(settings) {
        super._init(0.5, _('Language model'), false);
        this._settings = settings;
        this._client = null;
        this._drawing = 0;
        this._follow = true;
        this._icon = new St.Icon({icon_name: 'dialog-question-symbolic', style_class: 'system-status-icon'});
        this.add_child(this._icon);
        this._buildMenu();
        this._settingsChanged = settings.connect('changed', (_settings, key) => this._onSetting(key));
        this.menu.connect('open-state-changed', (_menu, open) => open && this._client.refresh());
        // the Shell gives an opened menu the keyboard only after open-state-changed
        this.menu.actor.connect('key-focus-in', () => this._question.grab_key_focus());
        this.connect('destroy', () => this._dismantle());
        this._newClient();
    }

    _dismantle() {
        this._settings.disconnect(this._settingsChanged);
        this._client.destroy();
        if (this._drawing)
            GLib.source_remove(this._drawing);
        this._drawing = 0;
    }

    // ---- the service ----

    _newClient() {
        const bus = GLib.getenv('LLM_BUS') || this._settings.get_string('bus');

        this._client?.destroy();
        this._client = new LlmClient(bus === 'session', () => this._queueDraw());
        this._client.model = this._settings.get_string('model');
        this._draw();
    }

    _onSetting(key) {
        if (key === 'bus') {
            this._newClient();
        } else if (key === 'model') {
            this._client.model = this._settings.get_string('model');
            this._client.refresh();
        }
    }

    _ask() {
        const options = {};
        const maxTokens = this._settings.get_uint('max-tokens');

        if (maxTokens)
            options['max-tokens'] = new GLib.Variant('u', maxTokens);
        if (this._client.ask(this._question.get_text(), options))
            this._draw();
    }

    _stop() {
        this._client.cancel();
        this._draw();
    }

    // ---- the menu ----

    _buildMenu() {
        const item = new PopupMenu.PopupBaseMenuItem({reactive: false, can_focus: false});
        const column = new St.Widget({
            layout_manager: new Clutter.BoxLayout({orientation: Clutter.Orientation.VERTICAL, spacing: 9}),
            style_class: 'local-llm-menu', x_expand: true});

        column.add_child(this._buildQuestion());
        column.add_child(this._buildStatus());
        column.add_child(this._buildAnswer());
        item.add_child(column);
        this.menu.addMenuItem(item);
    }

    _buildQuestion() {
        const row = new St.Widget({layout_manager: new Clutter.BoxLayout({spacing: 9}), x_expand: true});

        this._question = new St.Entry({hint_text: _('Ask the language model'), can_focus: true, x_expand: true});
        this._question.clutter_text.connect('activate', () => this._ask());
        this._askButton = this._button(_('Ask'), () => this._ask());
        this._stopButton = this._button(_('Stop'), () => this._stop());
        for (const actor of [this._question, this._askButton, this._stopButton])
            row.add_child(actor);
        return row;
    }

    _buildStatus() {
        const row = new St.Widget({layout_manager: new Clutter.BoxLayout({spacing: 9}), x_expand: true});

        this._status = new St.Label({style_class: 'local-llm-status', x_expand: true, y_align: Clutter.ActorAlign.CENTER});
        this._status.clutter_text.line_wrap = true;
        this._status.clutter_text.ellipsize = Pango.EllipsizeMode.NONE;
        this._copyButton = this._button(_('Copy'),
            () => St.Clipboard.get_default().set_text(St.ClipboardType.CLIPBOARD, this._client.text));
        row.add_child(this._status);
        row.add_child(this._copyButton);
        return row;
    }

    // An entry that cannot be edited: its text can be selected, and Ctrl+C copies it.
    _buildAnswer() {
        const box = new St.BoxLayout({x_expand: true});

        this._answer = new St.Entry({style_class: 'local-llm-answer', can_focus: true, x_expand: true});
        this._answer.clutter_text.set({editable: false, single_line_mode: false, activatable: false, line_wrap: true,
            line_wrap_mode: Pango.WrapMode.WORD_CHAR});
        box.add_child(this._answer);
        this._scroll = new St.ScrollView({style_class: 'local-llm-scroll', x_expand: true,
            hscrollbar_policy: St.PolicyType.NEVER, vscrollbar_policy: St.PolicyType.AUTOMATIC});
        if (this._scroll.add_actor)
            this._scroll.add_actor(box); // until GNOME 45
        else
            this._scroll.set_child(box);
        this._adjustment = box.vadjustment;
        this._adjustment.connect('changed', adjustment => {
            if (this._follow)
                adjustment.value = adjustment.upper - adjustment.page_size;
        });
        return this._scroll;
    }

    _button(label, clicked) {
        const button = new St.Button({label, style_class: 'button', can_focus: true, y_align: Clutter.ActorAlign.CENTER});

        button.connect('clicked', clicked);
        return button;
    }

    // ---- drawing ----

    _queueDraw() {
        if (this._drawing)
            return;
        this._drawing = GLib.timeout_add(GLib.PRIORITY_DEFAULT, LLM_DRAW_MS, () => {
            this._drawing = 0;
            this._draw();
            return GLib.SOURCE_REMOVE;
        });
    }

    _statusText() {
        const {availability, state, error} = this._client;

        if (state === 'working')
            return _('Working…');
        if (state === 'failed')
            return error.message ? `${error.words}\n${error.message}` : error.words;
        if (availability === 'absent')
            return _('There is no language model service here');
        if (availability === 'no-model')
            return _('There is no model; import one with llmctl');
        return state === 'cancelled' ? _('Stopped') : '';
    }

    _draw() {
        const {availability, state, text} = this._client;
        const working = state === 'working';
        const {value, upper, page_size: pageSize} = this._adjustment;

        this._icon.icon_name = working ? 'content-loading-symbolic' : 'dialog-question-symbolic';
        this._askButton.visible = !working;
        this._askButton.reactive = availability === 'ready';
        this._stopButton.visible = working;
        this._copyButton.visible = text !== '';
        this._status.text = this._statusText();
        this._status.visible = this._status.text !== '' || text !== '';
        this._follow = value + pageSize >= upper - 1; // not away from where somebody reads
        if (this._answer.text !== text)
            this._answer.text = text;
        this._scroll.visible = text !== '';
    }
});
