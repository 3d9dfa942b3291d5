"""Runs the service this image was built for: `python -m $SERVICE`, its arguments passed on.

`migrated` alone waits until the service's database is, which loads less than the service.
"""

import os
import runpy
import sys

# The folder of this file is not a place to import from.
sys.path.pop(0)
service = os.environ["SERVICE"]
if sys.argv[1:] == ["migrated"]:
    sys.argv[1:] = [service]
    runpy.run_module("chassis.migrated", run_name="__main__", alter_sys=True)
else:
    runpy.run_module(service, run_name="__main__", alter_sys=True)
