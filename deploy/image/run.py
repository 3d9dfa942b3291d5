"""Runs the service this image was built for: `python -m $SERVICE`, its arguments passed on."""

import os
import runpy
import sys

# The folder of this file is not a place to import from.
sys.path.pop(0)
runpy.run_module(os.environ["SERVICE"], run_name="__main__", alter_sys=True)
