// SPDX-License-Identifier: LGPL-2.1-or-later
// Streams an answer to standard output: gjs -m stream.js PROMPT MAX_TOKENS
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';
import System from 'system';

const [prompt, maxTokens] = System.programArgs;
const session = GLib.getenv('LLM_BUS') === 'session';
const xml = `<node><interface name="org.local.LLM">
  <method name="Stream"><arg type="s" direction="in"/><arg type="aa{sv}" direction="in"/><arg type="a{sv}" direction="in"/>
    <arg type="o" direction="out"/></method>
  <signal name="Token"><arg type="o"/><arg type="t"/><arg type="s"/><arg type="s"/><arg type="a{sv}"/></signal>
  <signal name="Finished"><arg type="o"/><arg type="s"/><arg type="s"/><arg type="a{sv}"/></signal>
</interface></node>`;
const LLM = Gio.DBusProxy.makeProxyWrapper(xml);
const proxy = new LLM(session ? Gio.DBus.session : Gio.DBus.system, 'org.local.LLM', '/org/local/LLM');
const loop = new GLib.MainLoop(null, false);
let status = 0, text = '';

proxy.connectSignal('Token', (_proxy, _sender, [_request, _offset, _channel, piece]) => { text += piece; });
proxy.connectSignal('Finished', (_proxy, _sender, [_request, error, message]) => {
    if (error) {
        printerr(error, message);
        status = 1;
    }
    loop.quit();
});
const messages = [{role: GLib.Variant.new_string('user'), content: GLib.Variant.new_string(prompt)}];
const options = {temperature: GLib.Variant.new_double(0), 'max-tokens': GLib.Variant.new_uint32(Number(maxTokens))};
proxy.StreamAsync('', messages, options).catch(e => { logError(e); status = 1; loop.quit(); });
loop.run();
const out = Gio.UnixOutputStream.new(1, false);
out.write_all(new TextEncoder().encode(text), null);
System.exit(status);
