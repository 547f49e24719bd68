# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that never rests, as a busy desktop has; it ends with whoever started it, however that ends."""
import contextlib
import subprocess
import sys
import time

SPIN = '''
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1000000):
        pass
'''


@contextlib.contextmanager
def spinner(wanted=True):
    child = subprocess.Popen([sys.executable, '-c', SPIN]) if wanted else None
    try:
        time.sleep(0.2 if wanted else 0)  # it finds its core
        yield child
    finally:
        if child is not None:
            child.kill()
            child.wait()
