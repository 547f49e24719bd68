// SPDX-License-Identifier: LGPL-2.1-or-later
// The extension's client against a real service: gjs -m client.js CLIENT-MODULE TEST [ARGUMENT...]
import GLib from 'gi://GLib';
import System from 'system';

import {assert, assertEqual, main, matchRules, pause, statistics, until, watchFinished} from './waiting.js';

const [module, name, ...args] = System.programArgs;
let LlmClient, describeError; // of the module
const PROMPT = 'Once upon a time';
const ERROR = 'org.local.LLM.Error.';
const SESSION = GLib.getenv('LLM_BUS') === 'session';
const some = count => ({temperature: new GLib.Variant('d', 0), 'max-tokens': new GLib.Variant('u', count)});

async function ready() {
    const client = new LlmClient(SESSION, () => {});
    await until(() => client.availability === 'ready', 'the service is there');
    return client;
}

async function nothingIsLeft() {
    for (let tries = 0; (await statistics())['requests-live'] > 0; tries++) {
        assert(tries < 12000, 'a request lives on');
        await pause(10);
    }
    assertEqual(await matchRules(), [], 'subscriptions after destroy()');
}

const tests = {
    async answer(expected) {
        const states = [];
        const client = new LlmClient(SESSION, () => states.push(client.state));

        assertEqual([client.availability, client.ask(PROMPT)], ['unknown', false], 'before there is a connection');
        await until(() => client.availability === 'ready', 'the service is there');
        assertEqual(client.ask('  '), false, 'a question of blanks');
        assertEqual(client.ask(PROMPT, some(200)), true, 'the first question');
        assertEqual(client.ask(PROMPT, some(200)), false, 'a second question meanwhile');
        await until(() => client.state !== 'working', 'the answer ends');
        assertEqual([client.state, client.error, client.text], ['done', null, expected], 'answer');
        assert(states.filter(state => state === 'working').length > 2, 'it comes piece by piece');
        assertEqual((await statistics())['requests-total'], 1, 'one question is one request');
        client.destroy();
        await nothingIsLeft();
    },

    async stop() {
        const client = await ready();
        const {finished, stop} = watchFinished();

        client.ask(PROMPT, some(400));
        await until(() => client.text !== '', 'text comes');
        client.cancel();
        const text = client.text;
        assertEqual(client.state, 'cancelled', 'state');
        await until(() => finished.length === 1, 'the service has ended it');
        assertEqual(finished[0][0], `${ERROR}Cancelled`, 'its end');
        assertEqual([client.state, client.text], ['cancelled', text], 'after a late token');
        client.cancel();
        client.ask(PROMPT, some(5));
        await until(() => client.state === 'done', 'it can be asked again');
        assert(PROMPT + client.text !== text && client.text.length > 0, 'a new answer');
        stop();
        client.destroy();
        await nothingIsLeft();
    },

    // The service may see the Cancel before it has made the request.
    async stopAtOnce() {
        const client = await ready();
        const {finished, stop} = watchFinished();

        for (let i = 0; i < 20; i++) {
            client.ask(PROMPT, some(400));
            client.cancel();
        }
        await until(() => finished.length === 20, 'all have ended');
        assertEqual(finished.filter(([error]) => error !== `${ERROR}Cancelled`), [], 'answered all the same');
        stop();
        client.destroy();
        await nothingIsLeft();
    },

    async destroyInMidStream() {
        const client = await ready();
        const {finished, stop} = watchFinished();
        let changes = 0;

        client._onChange = () => changes++;
        client.ask(PROMPT, some(400));
        await until(() => client.text !== '', 'text comes');
        client.destroy();
        client.destroy();
        const before = changes;
        await until(() => finished.length === 1, 'the service has ended it');
        stop();
        assertEqual([finished[0][0], changes], [`${ERROR}Cancelled`, before], 'its end, and changes after destroy()');
        await nothingIsLeft();
    },

    async destroyAtOnce() {
        const {finished, stop} = watchFinished();
        const client = await ready();

        client.ask(PROMPT, some(400));
        client.destroy();
        new LlmClient(SESSION, () => assert(false, 'a client that is gone does not change')).destroy();
        await until(() => finished.length === 1, 'the service has ended it');
        assertEqual(finished[0][0], `${ERROR}Cancelled`, 'its end');
        stop();
        await nothingIsLeft();
    },

    async errors() {
        const client = await ready();

        client.ask('word '.repeat(20000), some(5));
        await until(() => client.state === 'failed', 'a question that is too long fails');
        assertEqual([client.error.name, client.error.words], [`${ERROR}ContextExceeded`, 'The question is too long for the model'], 'error');
        client.ask(PROMPT, {temperature: new GLib.Variant('d', 9)});
        await until(() => client.state === 'failed', 'a wrong option fails');
        assertEqual(client.error.words, 'The question cannot be put like this', 'error');
        assert(client.error.message.includes('temperature') && !client.error.message.includes('GDBus'), `message: ${client.error.message}`);
        client.model = 'no-such-model';
        client.ask(PROMPT);
        await until(() => client.state === 'failed', 'a model that is not there fails');
        assertEqual([client.error.name, client.error.words], [`${ERROR}ModelNotFound`, 'There is no such model'], 'error');
        client.refresh();
        await until(() => client.availability === 'no-model', 'the model is not there');
        assertEqual(client.ask(PROMPT), false, 'a question to no model');
        client.destroy();
        await nothingIsLeft();
    },

    // Every error that the service's description names has words of its own.
    async words(...names) {
        const other = describeError('');

        assert(names.length > 14, 'names');
        assertEqual(names.filter(error => describeError(error) === other), [], 'without words');
    },

    // The caller starts the service, and ends it, when it reads these lines.
    async comesAndGoes() {
        const client = new LlmClient(SESSION, () => {});

        await until(() => client.availability === 'absent', 'no service');
        assertEqual(client.ask(PROMPT), false, 'a question to nobody');
        print('start');
        await until(() => client.availability === 'no-model', 'a service without a model');
        assertEqual(client.ask(PROMPT), false, 'a question to no model');
        print('import');
        await until(() => client.availability === 'ready', 'a service with a model');
        client.ask(PROMPT, {...some(0), stop: new GLib.Variant('as', ['\u0001'])});
        await until(() => client.text !== '', 'text comes');
        print('kill');
        await until(() => client.state !== 'working', 'the service is gone');
        assertEqual([client.state, client.error.words], ['failed', 'The language model service ended unexpectedly'], 'state');
        await until(() => client.availability === 'absent', 'no service any more');
        client.destroy();
        assertEqual(await matchRules(), [], 'subscriptions after destroy()');
    },
};

System.exit(main(async () => {
    ({LlmClient, describeError} = await import(`file://${module}`));
    await tests[name](...args);
}));
