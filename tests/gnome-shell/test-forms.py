# SPDX-License-Identifier: LGPL-2.1-or-later
"""Both forms of the extension as they are installed, in a stand-in for GNOME Shell (forms.js), against the built service."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'bus'))
import harness as h  # noqa: E402

BUILT, SOURCE = os.environ['LLM_EXTENSION_BUILT'], os.environ['LLM_EXTENSION_SOURCE']
LOCALES = os.environ['LLM_LOCALES']


class Forms(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='llm-extension-')
        subprocess.run(['glib-compile-schemas', '--strict', f'--targetdir={self.folder}', SOURCE], check=True)

        for form in ('43', '45'):
            shutil.copytree(os.path.join(BUILT, 'shell-' + form), os.path.join(self.folder, form))
        extension = os.path.join(self.folder, '45', 'extension.js')
        with open(extension) as f:  # libraries of GNOME Shell's own: no name can be put in their place
            text = re.sub("'gi://(Clutter|Pango|St)'", r"'resource:///org/gnome/shell/gi/\1.js'", f.read())
        with open(extension, 'w') as f:
            f.write(text)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def run_form(self, form, expected='There is no model; import one with llmctl', **environment):
        with h.Service(environment={'LLM_CPU_ISA': 'scalar'}) as service:
            done = subprocess.run(['gjs', '-m', os.path.join(HERE, 'forms.js'), form, os.path.join(self.folder, form), self.folder,
                                   os.environ['LLM_STAND_IN'], expected],
                                  env=dict(service.bus.environment(), **environment), capture_output=True, text=True, timeout=h.PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (0, ''))

    def test_43(self):
        self.run_form('43')

    def test_45(self):
        self.run_form('45')

    def test_metadata(self):
        versions = []
        for form in ('43', '45'):
            with open(os.path.join(BUILT, 'shell-' + form, 'metadata.json')) as f:
                metadata = json.load(f)
            self.assertEqual((metadata['uuid'], metadata['settings-schema']), ('ask@local-llm', 'org.gnome.shell.extensions.local-llm'))
            versions += metadata['shell-version']
        self.assertEqual(versions, [str(v) for v in range(43, 49)])

    def test_nothing_blocks(self):
        for form in ('43', '45'):
            with open(os.path.join(BUILT, 'shell-' + form, 'extension.js')) as f:
                self.assertEqual(re.findall(r'\w+_sync\b|\w+Sync\b|Gio\.DBus\.\w+|get_sync', f.read()), [])


if __name__ == '__main__':
    if shutil.which('gjs') is None:
        print('there is no gjs here')
        sys.exit(77)
    unittest.main(verbosity=2)
