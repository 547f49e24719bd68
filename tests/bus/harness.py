# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bus of its own with the built service on it.

The environment gives LLMD, LLM_ENGINE, LLMCTL, LLM_MODELS_DIR (the bundled model), GSETTINGS_SCHEMA_DIR.
"""
import os
import signal
import socket as socket_module
import subprocess
import tempfile
import time

from gi.repository import Gio, GLib

NAME, PATH = 'org.local.LLM', '/org/local/LLM'
MODEL = 'tiny-chat'
PROMPT = 'Once upon a time'
# <|im_end|> and <|endoftext|> of the bundled model never come.
ENDLESS = dict(temperature=2.0, logit_bias=GLib.Variant('a{ud}', {2558: -100.0, 2559: -100.0}))  # until the context is full
PATIENCE = 180  # seconds; nothing here takes two on a quiet machine

SYSTEM_BUS = '''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><keep_umask/><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><deny own="*"/><deny send_type="method_call"/>
<allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
<allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
<allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
<allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/></policy>
<includedir>{includes}</includedir></busconfig>'''


def v(**options):
    """Options as a{sv}; underscores are hyphens."""
    out = {}
    for key, value in options.items():
        if isinstance(value, GLib.Variant):
            out[key.replace('_', '-')] = value
            continue
        kind = {bool: 'b', int: 'x' if isinstance(value, int) and abs(value) >= 1 << 31 else 'i', float: 'd', str: 's', list: 'as'}[type(value)]
        out[key.replace('_', '-')] = GLib.Variant(kind, value)
    return out


def user(text):
    return [{'role': GLib.Variant('s', 'user'), 'content': GLib.Variant('s', text)}]


class Bus:
    """A session bus, or a system-like one with the service's own policy file."""

    def __init__(self, system=False):
        self.folder = tempfile.mkdtemp(prefix='llm-bus-')
        os.chmod(self.folder, 0o755)
        self.system = system
        socket = os.path.join(self.folder, 'socket')
        if system:
            includes = os.path.join(self.folder, 'system.d')
            os.mkdir(includes)
            policy = open(os.environ['LLM_BUS_POLICY']).read().replace('user="local-llm"', 'user="root"')
            open(os.path.join(includes, 'org.local.LLM.conf'), 'w').write(policy)
            config = os.path.join(self.folder, 'bus.conf')
            open(config, 'w').write(SYSTEM_BUS.format(socket=socket, includes=includes))
            command = ['dbus-daemon', f'--config-file={config}', '--nofork', '--nopidfile']
        else:
            command = ['dbus-daemon', '--session', f'--address=unix:path={socket}', '--nofork', '--nopidfile']
        self.address = f'unix:path={socket}'
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for(lambda: answers(socket))
        os.chmod(socket, 0o777)

    def environment(self):
        return dict(os.environ, **{'DBUS_SYSTEM_BUS_ADDRESS' if self.system else 'DBUS_SESSION_BUS_ADDRESS': self.address,
                                   'GSETTINGS_BACKEND': 'memory', 'NO_AT_BRIDGE': '1', 'LLM_BUS': 'system' if self.system else 'session'})

    def connect(self):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        return Gio.DBusConnection.new_for_address_sync(self.address, flags, None, None)

    def close(self):
        self.process.terminate()
        self.process.wait()
        subprocess.run(['rm', '-rf', self.folder])


class Service:
    """local-llmd on a bus; `with Service() as s:`."""

    def __init__(self, system=False, environment=None, models_dir=None, state=None, arguments=(), keep_state=False, programs=None):
        """@programs: LLMD and LLM_ENGINE in place of those that were built."""
        self.keep_state = keep_state
        self.bus = Bus(system)
        self.state = state or tempfile.mkdtemp(prefix='llm-state-')
        self.log_path = os.path.join(self.bus.folder, 'log')
        command = [(programs or os.environ)['LLMD'], '--state-dir', self.state, '--cache-dir', os.path.join(self.state, 'cache'), '--models-dir', models_dir or os.environ['LLM_MODELS_DIR']]
        command += arguments
        if not system:
            command.append('--session')
        self.environment = {**self.bus.environment(), 'G_MESSAGES_DEBUG': 'all', **(environment or {}), **(programs or {})}
        with open(self.log_path, 'w') as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=log)
        self.connection = self.bus.connect()
        try:
            wait_for(self.has_name)
        except BaseException:
            self.process.kill()
            self.process.wait()
            self.bus.close()
            raise

    def has_name(self):
        assert self.process.poll() is None, self.log()
        return self.connection.call_sync('org.freedesktop.DBus', '/', 'org.freedesktop.DBus', 'NameHasOwner', GLib.Variant('(s)', (NAME,)),
                                         None, 0, 60000, None).unpack()[0]

    def log(self):
        with open(self.log_path, errors='replace') as log:
            return log.read()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = 'hung'
        log = self.log()
        if kind is not None or status != 0 or 'CRITICAL' in log or 'ERROR: ' in log:
            print('\n'.join(line for line in log.splitlines() if 'DEBUG' not in line)[-8000:])
        self.bus.close()
        if not self.keep_state:
            subprocess.run(['rm', '-rf', self.state])
        if kind is None:
            assert status == 0, f'local-llmd ended with {status}'
            assert 'CRITICAL' not in log and 'ERROR: ' not in log, 'complaints in the log'

    def engine_pid(self):
        with open(f'/proc/{self.process.pid}/task/{self.process.pid}/children') as f:
            children = f.read().split()
        return int(children[0]) if children else None

    def rss(self):
        """Resident bytes of the broker."""
        with open(f'/proc/{self.process.pid}/statm') as f:
            return int(f.read().split()[1]) * os.sysconf('SC_PAGESIZE')

    def call(self, method, signature=None, arguments=(), connection=None, path=PATH, interface=NAME, fds=None, timeout=PATIENCE * 1000):
        reply, _ = (connection or self.connection).call_with_unix_fd_list_sync(
            NAME, path, interface, method, GLib.Variant(signature, arguments) if signature else None, None, 0, timeout, fds, None)
        return reply.unpack()

    def generate(self, prompt=PROMPT, model='', connection=None, **options):
        return self.call('Generate', '(ssa{sv})', (model, prompt, v(**options)), connection)

    def statistics(self):
        return self.call('GetStatistics', '(a{sv})', ({},))[0]


class Stream:
    """A Stream call and what comes of it."""

    def __init__(self, service, messages, connection=None, model='', **options):
        self.service, self.connection = service, connection or service.connection
        self.text, self.finished, self.tokens = '', None, 0
        self.subscription = self.connection.signal_subscribe(NAME, NAME, None, PATH, None, 0, self.on_signal)
        self.early = []
        self.path = None
        self.path = service.call('Stream', '(saa{sv}a{sv})', (model, messages, v(**options)), self.connection)[0]

    def on_signal(self, connection, sender, path, interface, name, parameters):
        values = parameters.unpack()
        if self.path is not None and values[0] != self.path:
            return
        if name == 'Token':
            assert values[1] == len(self.text.encode()), 'offsets must be without gaps'
            self.text += values[3]
            self.tokens += 1
        elif name == 'Finished':
            self.finished = values[1:]

    def wait(self, timeout=PATIENCE):
        spin(lambda: self.finished is not None, timeout)
        self.connection.signal_unsubscribe(self.subscription)
        return self.finished


def error_name(function, *args, **kwargs):
    """The D-Bus error that a call gives, and its message."""
    try:
        function(*args, **kwargs)
    except GLib.Error as error:
        name = Gio.DBusError.get_remote_error(error)
        message = error.message.split(': ', 1)[1]  # after "GDBus.Error:NAME"
        return name.replace('org.local.LLM.Error.', '').replace('org.freedesktop.DBus.Error.', ''), message
    return None, None


def answers(path):
    """Somebody listens: the socket's file is there a little earlier."""
    with socket_module.socket(socket_module.AF_UNIX) as s:
        return s.connect_ex(path) == 0


def wait_for(condition, timeout=PATIENCE):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, 'it did not happen in time'
        time.sleep(0.01)


def spin(condition, timeout=PATIENCE):
    """Runs the main loop until the condition holds."""
    context, end = GLib.MainContext.default(), time.monotonic() + timeout
    ticker = GLib.timeout_add(5, lambda: True)
    while not condition():
        assert time.monotonic() < end, 'it did not happen in time'
        context.iteration(True)
    GLib.source_remove(ticker)
