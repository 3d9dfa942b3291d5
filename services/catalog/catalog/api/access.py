"""Who may change the catalogue."""

from typing import Annotated

from fastapi import Depends

from chassis.auth import Caller, permitted

Editor = Annotated[Caller, Depends(permitted("catalog:write"))]
"""A caller with the permission `catalog:write`."""
