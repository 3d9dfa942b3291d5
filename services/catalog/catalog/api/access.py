"""Who may change the catalogue."""

from typing import Annotated

from chassis.auth import Caller, permitted
from fastapi import Depends

Editor = Annotated[Caller, Depends(permitted("catalog:write"))]
"""A caller with the permission `catalog:write`."""
