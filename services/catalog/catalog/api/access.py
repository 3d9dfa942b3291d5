"""Who may change the catalogue."""

from typing import Annotated

from fastapi import Depends

from chassis.auth import Caller, require_permission

Editor = Annotated[Caller, Depends(require_permission("catalog:write"))]
"""A caller with the permission `catalog:write`."""
