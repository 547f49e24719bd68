# SPDX-License-Identifier: LGPL-2.1-or-later
"""The extension in GNOME Shell 43 itself, headless, on a bus of its own with the built service.

LLM_SCREENSHOT=FILE.png keeps the picture of the open menu (data/gnome-shell/screenshot.png is one).
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import gi
from gi.repository import GLib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'bus'))
import harness as h  # noqa: E402

BUILT, SOURCE = os.environ['LLM_EXTENSION_BUILT'], os.environ['LLM_EXTENSION_SOURCE']
UUID = 'ask@local-llm'
QUESTION = 'Tell me a story about a fox.'
SETTINGS = f'''[org/gnome/shell]
enabled-extensions=['{UUID}']
welcome-dialog-last-shown-version='99'
[org/gnome/desktop/interface]
enable-animations=false
[org/gnome/shell/extensions/local-llm]
bus='session'
max-tokens=uint32 150
'''
SHELL = ['gnome-shell', '--headless', '--wayland', '--no-x11', '--unsafe-mode', '--virtual-monitor', '1280x720']


class Shell:
    """A headless GNOME Shell of a user who has just this extension; `with Shell(service) as shell:`."""

    def __init__(self, service):
        self.service = service
        self.home = tempfile.mkdtemp(prefix='llm-shell-')
        extension = os.path.join(self.home, 'data', 'gnome-shell', 'extensions', UUID)
        shutil.copytree(os.path.join(BUILT, 'shell-43'), extension)
        shutil.copy(os.path.join(SOURCE, 'stylesheet.css'), extension)
        schemas = os.path.join(extension, 'schemas')
        os.mkdir(schemas)
        subprocess.run(['glib-compile-schemas', '--strict', f'--targetdir={schemas}', SOURCE], check=True)
        self.write('config/glib-2.0/settings/keyfile', SETTINGS)
        self.system_bus = h.Bus(system=True)
        environment = dict(service.bus.environment(), HOME=self.home, GSETTINGS_BACKEND='keyfile', LIBGL_ALWAYS_SOFTWARE='1', LANGUAGE='C',
                           LC_ALL='C.UTF-8', DBUS_SYSTEM_BUS_ADDRESS=self.system_bus.address)
        for name in ('config', 'data', 'cache', 'state', 'runtime'):
            folder = os.path.join(self.home, name)
            os.makedirs(folder, exist_ok=True)
            environment[f'XDG_{name.upper()}_' + ('DIR' if name == 'runtime' else 'HOME')] = folder
        os.chmod(environment['XDG_RUNTIME_DIR'], 0o700)
        for name in ('DISPLAY', 'WAYLAND_DISPLAY', 'LLM_BUS'):
            environment.pop(name, None)
        self.log_path = os.path.join(self.home, 'log')
        with open(self.log_path, 'w') as log:
            self.process = subprocess.Popen(SHELL, env=environment, stdout=log, stderr=log)

    def write(self, path, text):
        path = os.path.join(self.home, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)

    def log(self):
        with open(self.log_path, errors='replace') as f:
            return f.read()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if kind is not None:
            print(self.log()[-8000:])
        self.system_bus.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def call(self, path, interface, method, signature=None, arguments=()):
        return self.service.connection.call_sync('org.gnome.Shell', path, interface, method, GLib.Variant(signature, arguments) if signature else None,
                                                 None, 0, h.PATIENCE * 1000, None).unpack()

    def eval(self, script):
        """What a script gives, as JSON says it; the indicator is `it`."""
        script = f"const it = Main.panel.statusArea['{UUID}']; {script}"
        ok, result = self.call('/org/gnome/Shell', 'org.gnome.Shell', 'Eval', '(s)', (script,))
        assert ok, f'{script}: {result}'
        return json.loads(result) if result else None

    def until(self, script, what, timeout=h.PATIENCE):
        end = time.monotonic() + timeout
        while not self.eval(script):
            assert self.process.poll() is None, 'GNOME Shell ended'
            assert time.monotonic() < end, f'not in time: {what}'
            time.sleep(0.05)

    def is_up(self):
        assert self.process.poll() is None, self.log()[-4000:]
        try:
            return self.eval("Main.layoutManager._startingUp === false")
        except GLib.Error:
            return False

    def type(self, text):
        """Key by key, as from a keyboard; a line break is Return."""
        keys = [0xff0d if c == '\n' else ord(c) for c in text]
        self.eval('''
            const {Clutter} = imports.gi;
            globalThis.keyboard ??= Clutter.get_default_backend().get_default_seat().create_virtual_device(Clutter.InputDeviceType.KEYBOARD_DEVICE);
            for (const key of %s)
                for (const state of [Clutter.KeyState.PRESSED, Clutter.KeyState.RELEASED])
                    keyboard.notify_keyval(imports.gi.GLib.get_monotonic_time(), key, state);
            1''' % keys)

    def screenshot(self, path, area):
        ok, used = self.call('/org/gnome/Shell/Screenshot', 'org.gnome.Shell.Screenshot', 'ScreenshotArea', '(iiiibs)', (*area, False, path))
        assert ok and used == path
        return path

    def match_rules(self):
        """What the bus sends the Shell from the service."""
        def bus(*arguments):
            return self.service.connection.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', *arguments, None, 0, 10000, None).unpack()[0]
        owner = bus('org.freedesktop.DBus', 'GetNameOwner', GLib.Variant('(s)', ('org.gnome.Shell',)))
        rules = bus('org.freedesktop.DBus.Debug.Stats', 'GetAllMatchRules', None)
        return [rule for rule in rules[owner] if h.NAME in rule]


def colours(path, area=None):
    """How many pixels of which colour a picture has, or an area of it."""
    gi.require_version('GdkPixbuf', '2.0')
    from gi.repository import GdkPixbuf
    pixels = GdkPixbuf.Pixbuf.new_from_file(path)
    x, y, width, height = area or (0, 0, pixels.get_width(), pixels.get_height())
    data, step, row = pixels.read_pixel_bytes().get_data(), pixels.get_n_channels(), pixels.get_rowstride()
    counts = {}
    for line in range(y, y + height):
        for start in range(line * row + x * step, line * row + (x + width) * step, step):
            colour = data[start:start + 3]
            counts[colour] = counts.get(colour, 0) + 1
    return counts


class InTheShell(unittest.TestCase):
    def test_all(self):
        with h.Service(environment={'LLM_CPU_ISA': 'scalar'}) as service, Shell(service) as shell:
            h.wait_for(shell.is_up)
            shell.until(f"Main.extensionManager.lookup('{UUID}')?.state === 1", 'the extension is enabled')
            self.ask(shell)
            self.look(shell)
            self.disable(shell, service)
            self.assertNotIn('JS ERROR', shell.log())

    def ask(self, shell):
        shell.eval('Main.overview.hide(); it.menu.open(); 1')
        shell.until('!Main.overview.visible && it.menu.isOpen && it._askButton.reactive', 'the menu is open')
        shell.until('global.stage.key_focus === it._question.clutter_text', 'the entry has the keyboard')
        shell.type(QUESTION)
        shell.until(f"it._question.text === '{QUESTION}'", 'the question is typed')
        shell.type('\n')
        shell.until("it._client.state === 'done'", 'the answer is there')
        shell.until('it._answer.text === it._client.text && it._drawing === 0', 'the answer is drawn')
        self.assertGreater(len(shell.eval('it._answer.text')), 20)
        self.assertTrue(shell.eval('it._answer.clutter_text.selectable && !it._answer.clutter_text.editable'))

    def look(self, shell):
        area = "(a => [...a.get_transformed_position(), ...a.get_transformed_size()].map(Math.round))"
        time.sleep(0.5)
        x, y, width, height = shell.eval(f'{area}(it.menu.actor)')
        answer = shell.eval(f'{area}(it._answer)')
        self.assertTrue(x >= 0 and x + width <= 1280 and y + height <= 720, 'the menu is on the screen')
        path = shell.screenshot(os.path.join(shell.home, 'menu.png'), (x, 0, width, y + height))
        self.assertGreater(len(colours(path)), 20, 'the picture is blank')
        height = min(answer[3], y + height - answer[1] - 1)
        text = colours(path, (answer[0] - x, answer[1], answer[2], height))
        background = max(text, key=text.get)
        ink = sum(n for colour, n in text.items() if max(abs(a - b) for a, b in zip(colour, background)) > 96) / (answer[2] * height)
        self.assertTrue(0.02 < ink < 0.5, f'{ink:.3f} of the answer is ink')
        if 'LLM_SCREENSHOT' in os.environ:
            shutil.copy(path, os.environ['LLM_SCREENSHOT'])

    def disable(self, shell, service):
        self.assertGreater(len(shell.match_rules()), 0)
        shell.eval("it._settings.set_uint('max-tokens', 400); it._ask(); 1")
        engine, begun = service.engine_pid(), False
        while not begun:  # a little at a time: it must not come to its end
            os.kill(engine, signal.SIGCONT)
            time.sleep(0.05)
            os.kill(engine, signal.SIGSTOP)
            begun = shell.eval("it._client.text !== ''")
        self.assertEqual(shell.eval(f"it._client.state"), 'working')
        shell.eval(f"globalThis.gone = it; Main.extensionManager.disableExtension('{UUID}')")
        shell.until('it === undefined', 'the button is gone')
        self.assertEqual(shell.match_rules(), [])
        self.assertEqual(shell.eval('[gone._drawing, gone._client.state]'), [0, 'cancelled'])
        os.kill(engine, signal.SIGCONT)
        h.wait_for(lambda: service.statistics()['broker']['requests-live'] == 0)
        self.assertEqual(service.statistics()['broker']['requests-failed'], 1, 'it was cancelled, not answered to its end')


if __name__ == '__main__':
    if shutil.which('gnome-shell') is None:
        print('there is no gnome-shell here: tools/install-deps --gnome')
        sys.exit(77)
    version = subprocess.run(['gnome-shell', '--version'], capture_output=True, text=True, check=True).stdout.split()[-1]
    if version.split('.')[0] not in ('43', '44'):
        print(f'GNOME Shell {version} does not take the form for 43 and 44')
        sys.exit(77)
    unittest.main(verbosity=2)
