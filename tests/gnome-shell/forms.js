// SPDX-License-Identifier: LGPL-2.1-or-later
// The built extension.js of a form, in a stand-in for GNOME Shell, against a real service: gjs -m forms.js FORM FOLDER SCHEMAS RESOURCES EXPECTED
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import System from 'system';

import {clipboard, openSettings, standIn, statusArea, timers} from './stand-in.js';
import {assert, assertEqual, main, matchRules, pause, statistics, until, watchFinished} from './waiting.js';

const [form, folder, schemas, resources, expected] = System.programArgs;
const [, metadataText] = GLib.file_get_contents(`${folder}/metadata.json`);
const metadata = JSON.parse(new TextDecoder().decode(metadataText));
const settings = openSettings(schemas);

async function load() {
    const stoodIn = standIn(form, settings);

    if (form === '43') {
        const loader = imports;
        loader.searchPath.unshift(folder);
        globalThis.imports = stoodIn;
        return loader.extension.init({uuid: metadata.uuid, metadata});
    }
    Gio.Resource.load(resources)._register();
    const {default: Extension} = await import(`file://${folder}/extension.js`);
    return new Extension(metadata);
}

// The texts that the menu shows, in order; and its buttons by their labels.
function* actors(actor) {
    yield actor;
    for (const child of [...actor.children, ...actor.child ? [actor.child] : []])
        yield* child.visible ? actors(child) : [];
}

function shown(indicator) {
    return [...actors(indicator.menu.items[0])].map(actor => actor.text ?? actor.label).filter(text => text);
}

function button(indicator, label) {
    const found = [...actors(indicator.menu.items[0])].find(actor => actor.label === label);
    assert(found, `there is a button ${label}`);
    return found;
}

async function nothingIsLeft() {
    assertEqual([...timers], [], 'timers after disable()');
    assertEqual(await matchRules(), [], 'subscriptions after disable()');
    for (let tries = 0; (await statistics())['requests-live'] > 0; tries++) {
        assert(tries < 12000, 'a request lives on');
        await pause(10);
    }
}

async function test() {
    const extension = await load();
    const {finished, stop} = watchFinished();

    settings.set_uint('max-tokens', 60);
    extension.enable();
    let indicator = statusArea[metadata.uuid];
    await until(() => indicator._askButton.reactive, 'it may be asked');
    indicator.menu.emit('open-state-changed', true);
    assertEqual(shown(indicator), ['Ask'], 'before a question');
    indicator._question.text = 'Once upon a time';
    indicator._question.clutter_text.emit('activate');
    assertEqual(shown(indicator), ['Once upon a time', 'Stop', 'Working…'], 'while it is asked');
    button(indicator, 'Stop');
    await until(() => shown(indicator).includes('Ask'), 'the answer ends');
    assert(indicator._answer.text.length > 20, 'there is an answer');
    button(indicator, 'Copy').emit('clicked');
    assertEqual(clipboard.text, indicator._answer.text, 'copied');

    settings.set_uint('max-tokens', 400);
    button(indicator, 'Ask').emit('clicked');
    await until(() => indicator._answer.text !== '', 'text comes');
    button(indicator, 'Stop').emit('clicked');
    assertEqual(shown(indicator).slice(1, 3), ['Ask', 'Stopped'], 'stopped');

    settings.set_string('model', 'no-such-model');
    await until(() => shown(indicator).includes(expected), 'no model');
    assertEqual(indicator._askButton.reactive, false, 'may be asked');
    settings.set_string('model', '');
    await until(() => indicator._askButton.reactive, 'it may be asked again');

    button(indicator, 'Ask').emit('clicked');
    await until(() => indicator._answer.text !== '' && timers.size > 0, 'text comes, and is not drawn yet');
    extension.disable();
    await until(() => finished.length === 3, 'the service has ended it');
    assertEqual(finished.map(([error]) => error.split('.').pop()), ['', 'Cancelled', 'Cancelled'], 'ends');
    stop();
    await nothingIsLeft();

    extension.enable();
    assert(statusArea[metadata.uuid] !== indicator, 'another one');
    indicator = statusArea[metadata.uuid];
    await until(() => indicator._askButton.reactive, 'it may be asked');
    extension.disable();
    await nothingIsLeft();
}

System.exit(main(test));
