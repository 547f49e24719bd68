# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole service on a Vulkan device, chosen by the setting: the same greedy text as on the scalar CPU."""
import glob
import os
import sys
import tempfile
import unittest

import harness as h


def generate(device, isa=''):
    with tempfile.TemporaryDirectory() as config:
        folder = os.path.join(config, 'glib-2.0', 'settings')
        os.makedirs(folder)
        with open(os.path.join(folder, 'keyfile'), 'w') as f:
            f.write(f"[org/local/LLM]\ndevice='{device}'\n")
        environment = {'XDG_CONFIG_HOME': config, 'XDG_RUNTIME_DIR': config, 'GSETTINGS_BACKEND': 'keyfile', 'LLM_VULKAN_SOFTWARE': '1', 'LLM_CPU_ISA': isa}
        os.chmod(config, 0o700)
        with h.Service(environment=environment) as service:
            text = service.generate(temperature=0, max_tokens=40)[0]
            return text, service.statistics()['engine']['models'][0]['device']


class Vulkan(unittest.TestCase):
    def test_same_text(self):
        text, device = generate('vulkan0')
        self.assertEqual(device, 'vulkan0')
        self.assertEqual((text, 'cpu'), generate('cpu', 'scalar'))

    def test_unknown_device(self):
        name, message = h.error_name(generate, 'vulkan99')
        self.assertEqual(name, 'NotSupported')
        self.assertIn('vulkan0', message)


if __name__ == '__main__':
    if not glob.glob('/usr/share/vulkan/icd.d/lvp_icd.*.json'):
        print('lavapipe (mesa-vulkan-drivers) is not installed')
        sys.exit(77)
    unittest.main(verbosity=2)
