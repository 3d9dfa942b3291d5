"""Python runs this as it starts, with this folder on its path: it calls what AT_START names.

The process ends when that fails, where Python would report it and go on.
"""

import importlib
import os
import traceback

try:
    for each in os.environ["AT_START"].split():
        module, _, name = each.partition(":")
        getattr(importlib.import_module(module), name)()
except BaseException:  # noqa: BLE001
    traceback.print_exc()
    os._exit(1)
