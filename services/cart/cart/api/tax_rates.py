"""Routes on tax rates, for staff."""
from fastapi import APIRouter
router = APIRouter(prefix="/v1/admin/tax-rates", tags=["tax rates"])
