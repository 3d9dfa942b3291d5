"""A service that holds the event loop up on request, with the sample's tables."""

import time

from fastapi import APIRouter
from sample.service import Base

from chassis.bus import Bus
from chassis.service import Service
from chassis.settings import ServiceSettings

router = APIRouter(prefix="/v1/second")


@router.get("/busy")
async def hold_up(seconds: float) -> dict[str, float]:
    """Hold the event loop up."""
    time.sleep(seconds)  # noqa: ASYNC251
    return {"seconds": seconds}


bus: Bus[ServiceSettings] = Bus("second")
service = Service("second", ServiceSettings, Base.metadata, [router], bus)
