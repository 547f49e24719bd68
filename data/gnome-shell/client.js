// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The conversation with org.local.LLM, without anything on the screen: one question at a time, its answer as it comes.
//
// This file imports nothing. The entry of each form of the extension (shell-43/, shell-45/) stands before it in the extension.js that
// meson puts together and brings Gio, GLib and _.  Nothing here blocks: every call to the bus is asynchronous, and destroy() leaves no
// subscription, no name watch, no timer and no request in the service behind.

const LLM_NAME = 'org.local.LLM';
const LLM_PATH = '/org/local/LLM';
const LLM_ERROR = 'org.local.LLM.Error.';
const DBUS_ERROR = 'org.freedesktop.DBus.Error.';

// What may follow what.
const LLM_EDGES = {
    idle: ['working'],
    working: ['done', 'failed', 'cancelled'],
    done: ['working'],
    failed: ['working'],
    cancelled: ['working'],
};

// The typed errors of introspection/org.local.LLM.xml, in words.
function describeError(name) {
    switch (name) {
    case `${DBUS_ERROR}ServiceUnknown`:
    case `${DBUS_ERROR}NameHasNoOwner`:
    case `${DBUS_ERROR}Spawn.ServiceNotFound`:
        return _('There is no language model service here');
    case `${DBUS_ERROR}NoReply`:
    case `${DBUS_ERROR}Disconnected`:
    case `${LLM_ERROR}EngineLost`:
        return _('The language model service ended unexpectedly');
    case `${DBUS_ERROR}AccessDenied`:
        return _('You may not use the language model service');
    case `${DBUS_ERROR}InvalidArgs`:
    case `${LLM_ERROR}InvalidMessage`:
        return _('The question cannot be put like this');
    case `${LLM_ERROR}ModelNotFound`:
        return _('There is no such model');
    case `${LLM_ERROR}InvalidModel`:
    case `${LLM_ERROR}IntegrityFailed`:
        return _('The model is damaged');
    case `${LLM_ERROR}NotSupported`:
        return _('The model is not supported');
    case `${LLM_ERROR}ContextExceeded`:
        return _('The question is too long for the model');
    case `${LLM_ERROR}Busy`:
    case `${LLM_ERROR}QueueFull`:
    case `${LLM_ERROR}QuotaExceeded`:
    case `${DBUS_ERROR}LimitsExceeded`:
        return _('The language model service is busy; try again later');
    case `${LLM_ERROR}OutOfMemory`:
        return _('There is not enough memory for the model');
    case `${LLM_ERROR}Cancelled`:
    case `${LLM_ERROR}Closed`:
        return _('The answer was cut short by the service');
    default:
        return _('The language model service reported an error');
    }
}

// -> the D-Bus name of what was thrown, and its message without that name
function splitError(e) {
    const name = e instanceof GLib.Error ? Gio.DBusError.get_remote_error(e) : null;
    const message = `${e.message}`;
    return [name ?? '', name ? message.replace(`GDBus.Error:${name}: `, '') : message];
}

function isCancelled(e) {
    return e instanceof GLib.Error && e.matches(Gio.IOErrorEnum, Gio.IOErrorEnum.CANCELLED);
}

// session: the session bus instead of the system bus.  onChange(): availability, state or text is another one; never from the constructor.
//
// availability: unknown (still connecting) | absent | no-model | ready
// state: idle | working | done | failed | cancelled
// text: the answer so far
// error: null, or {name, words, message} when state is failed
class LlmClient {
    constructor(session, onChange) {
        this.availability = 'unknown';
        this.state = 'idle';
        this.text = '';
        this.error = null;
        this.model = '';     // '' is the service's default
        this._onChange = onChange;
        this._connection = null;
        this._subscriptions = [];
        this._watch = 0;
        this._owner = null;  // the service's name on the bus while it runs
        this._request = null;
        this._refreshes = 0;
        this._cancellable = new Gio.Cancellable();
        this._connect(session ? Gio.BusType.SESSION : Gio.BusType.SYSTEM);
    }

    destroy() {
        if (this._cancellable.is_cancelled())
            return;
        this._onChange = null;
        this.cancel();
        this._cancellable.cancel();
        for (const id of this._subscriptions)
            this._connection.signal_unsubscribe(id);
        this._subscriptions = [];
        if (this._watch)
            Gio.bus_unwatch_name(this._watch);
        this._watch = 0;
        this._connection = null;
    }

    // Asks; false when there is nobody to ask or a question is still being answered. options: of Stream, as GLib.Variants.
    ask(question, options = {}) {
        if (this.availability !== 'ready' || this.state === 'working' || !question.trim())
            return false;
        const token = `shell_${GLib.uuid_string_random().replaceAll('-', '_')}`;
        const sender = this._connection.get_unique_name().slice(1).replaceAll('.', '_');
        const request = {path: `${LLM_PATH}/request/${sender}/${token}`, replied: false, unwanted: false};
        const message = {role: new GLib.Variant('s', 'user'), content: new GLib.Variant('s', question)};
        const parameters = new GLib.Variant('(saa{sv}a{sv})',
            [this.model, [message], {...options, 'handle-token': new GLib.Variant('s', token)}]);

        this._request = request;
        this.text = '';
        this.error = null;
        this._setState('working');
        this._stream(request, parameters);
        return true;
    }

    // Ends the answer that is being given; what has come of it stays.
    cancel() {
        if (this.state !== 'working')
            return;
        const request = this._request;
        request.unwanted = true;
        this._cancelRequest(this._connection, request);
        this._end('cancelled');
    }

    // Looks again whether there are a service and a model.
    async refresh() {
        const turn = ++this._refreshes;
        let availability = this._owner ? 'ready' : 'absent'; // when the call fails: asking will say why

        try {
            if (this._owner) {
                const [state] = await this._call(this._connection, LLM_NAME, LLM_PATH, LLM_NAME, 'Availability',
                    new GLib.Variant('(sa{sv})', [this.model, {}]), this._cancellable);
                availability = state === 'available' ? 'ready' : 'no-model';
            } else if (this._connection) {
                const [names] = await this._call(this._connection, 'org.freedesktop.DBus', '/org/freedesktop/DBus',
                    'org.freedesktop.DBus', 'ListActivatableNames', null, this._cancellable);
                availability = names.includes(LLM_NAME) ? 'ready' : 'absent'; // it starts when it is asked
            }
        } catch (e) {
            if (isCancelled(e))
                return;
            console.warn(`${LLM_NAME}: ${e.message}`);
        }
        if (this._cancellable.is_cancelled() || turn !== this._refreshes || availability === this.availability)
            return;
        this.availability = availability;
        this._changed();
    }

    // ---- private ----

    _changed() {
        this._onChange?.();
    }

    _setState(state) {
        if (!LLM_EDGES[this.state].includes(state))
            throw new Error(`a client that is ${this.state} does not become ${state}`);
        this.state = state;
        this._changed();
    }

    _end(state, name = '', message = '') {
        this._request = null;
        if (state === 'failed')
            this.error = {name, words: describeError(name), message};
        this._setState(state);
    }

    _call(connection, name, path, iface, method, parameters, cancellable = null) {
        return new Promise((resolve, reject) => {
            connection.call(name, path, iface, method, parameters, null, Gio.DBusCallFlags.NONE, GLib.MAXINT32, cancellable,
                (source, result) => {
                    try {
                        resolve(source.call_finish(result).recursiveUnpack());
                    } catch (e) {
                        reject(e);
                    }
                });
        });
    }

    _connect(type) {
        Gio.bus_get(type, this._cancellable, (_source, result) => {
            try {
                this._connected(Gio.bus_get_finish(result));
            } catch (e) {
                if (isCancelled(e) || this._cancellable.is_cancelled())
                    return;
                console.warn(`${LLM_NAME}: ${e.message}`);
                this.availability = 'absent';
                this._changed();
            }
        });
    }

    _connected(connection) {
        if (this._cancellable.is_cancelled())
            return;
        const subscribe = (iface, member, path, arg0, callback) => this._subscriptions.push(connection.signal_subscribe(LLM_NAME, iface,
            member, path, arg0, Gio.DBusSignalFlags.NONE, (_connection, _sender, _path, _iface, _member, parameters) => callback(parameters)));

        this._connection = connection;
        subscribe(LLM_NAME, 'Token', LLM_PATH, null, parameters => this._onToken(...parameters.recursiveUnpack()));
        subscribe(LLM_NAME, 'Finished', LLM_PATH, null, parameters => this._onFinished(...parameters.recursiveUnpack()));
        subscribe('org.freedesktop.DBus.Properties', 'PropertiesChanged', LLM_PATH, LLM_NAME, parameters => {
            if ('DefaultModel' in parameters.recursiveUnpack()[1])
                this.refresh();
        });
        this._watch = Gio.bus_watch_name_on_connection(connection, LLM_NAME, Gio.BusNameWatcherFlags.NONE,
            (_connection, _name, owner) => this._onOwner(owner), () => this._onOwner(null));
    }

    // With the service its requests are gone; one that was not replied to yet ends with its call.
    _onOwner(owner) {
        const previous = this._owner;

        this._owner = owner;
        if (this._request?.replied && previous && owner !== previous)
            this._end('failed', `${LLM_ERROR}EngineLost`);
        this.refresh();
    }

    async _stream(request, parameters) {
        const connection = this._connection;

        try {
            await this._call(connection, LLM_NAME, LLM_PATH, LLM_NAME, 'Stream', parameters);
            request.replied = true;
            if (request.unwanted)
                await this._cancelRequest(connection, request);
        } catch (e) {
            if (this._request === request)
                this._end('failed', ...splitError(e));
        }
    }

    // A Cancel that overtakes its Stream finds nothing to cancel: then _stream() sends another one after the reply.
    async _cancelRequest(connection, request) {
        try {
            await this._call(connection, LLM_NAME, request.path, `${LLM_NAME}.Request`, 'Cancel', null);
        } catch (e) {
            // it has ended, or has not begun
        }
    }

    _onToken(path, _offset, channel, text) {
        if (path !== this._request?.path || channel !== 'content')
            return;
        this.text += text;
        this._changed();
    }

    _onFinished(path, name, message) {
        if (path !== this._request?.path)
            return;
        if (name)
            this._end('failed', name, message);
        else
            this._end('done');
    }
}
