// SPDX-License-Identifier: LGPL-2.1-or-later
// What the tests share: waiting for something, and asking the bus and the service what is left.
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

const NAME = 'org.local.LLM';
const type = GLib.getenv('LLM_BUS') === 'session' ? Gio.BusType.SESSION : Gio.BusType.SYSTEM;
export const connection = Gio.bus_get_sync(type, null); // the one that the client uses too

export function assert(condition, what) {
    if (!condition)
        throw new Error(what);
}

export function assertEqual(value, expected, what) {
    assert(JSON.stringify(value) === JSON.stringify(expected), `${what}: ${JSON.stringify(value)}, not ${JSON.stringify(expected)}`);
}

// Holds when condition() does; looks again every 5 ms.
export function until(condition, what, seconds = 120) {
    const end = GLib.get_monotonic_time() + seconds * 1e6;

    return new Promise((resolve, reject) => {
        const id = setInterval(() => {
            const late = GLib.get_monotonic_time() > end;
            if (!late && !condition())
                return;
            clearInterval(id);
            if (late)
                reject(new Error(`not in time: ${what}`));
            else
                resolve();
        }, 5);
    });
}

export const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

export function call(name, path, iface, method, parameters = null) {
    return new Promise((resolve, reject) => connection.call(name, path, iface, method, parameters, null, 0, -1, null, (source, result) => {
        try {
            resolve(source.call_finish(result).recursiveUnpack());
        } catch (e) {
            reject(e);
        }
    }));
}

export async function statistics() {
    return (await call(NAME, '/org/local/LLM', NAME, 'GetStatistics', new GLib.Variant('(a{sv})', [{}])))[0].broker;
}

// The subscriptions that the bus holds for this process and that have to do with the service; a system bus does not tell.
export async function matchRules() {
    if (type === Gio.BusType.SYSTEM)
        return [];
    const [rules] = await call('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus.Debug.Stats', 'GetAllMatchRules');

    return (rules[connection.get_unique_name()] ?? []).filter(rule => rule.includes(NAME));
}

// Every Finished of this process' requests: [error name, error message].
export function watchFinished() {
    const finished = [];
    const id = connection.signal_subscribe(null, NAME, 'Finished', null, null, 0,
        (_connection, _sender, _path, _iface, _name, parameters) => finished.push(parameters.recursiveUnpack().slice(1, 3)));

    return {finished, stop: () => connection.signal_unsubscribe(id)};
}

// Runs an asynchronous function; -> exit status. To be called from outside of promises: a loop inside of one holds up all others.
export function main(test) {
    const loop = new GLib.MainLoop(null, false);
    let status = 1;

    test().then(() => {
        status = 0;
    }, e => printerr(`${e.message}\n${e.stack}`)).finally(() => loop.quit());
    loop.run();
    return status;
}
