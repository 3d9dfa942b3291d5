"""Read by Python at its start where this folder is on the path: plants what PLANTED names."""

import os

import defects

defects.DEFECTS[os.environ["PLANTED"]]()
