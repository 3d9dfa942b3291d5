"""Read by Python at its start where this folder is on the path: plants what PLANTED names."""

import os

import defects  # type: ignore[import-not-found]  # on the path only where Python reads this file

defects.DEFECTS[os.environ["PLANTED"]]()
