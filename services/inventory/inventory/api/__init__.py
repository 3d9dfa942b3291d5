"""Inventory's routes for staff, by noun, and the permissions they need."""

from typing import Annotated

from fastapi import Depends

from chassis.auth import Caller, require_permission

Reader = Annotated[Caller, Depends(require_permission("stock:read"))]
Writer = Annotated[Caller, Depends(require_permission("stock:write"))]
