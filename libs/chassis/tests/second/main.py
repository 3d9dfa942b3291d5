"""A service that fails or holds the event loop up on request, with the sample's tables."""

import time

from fastapi import APIRouter, Request
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


@router.post("/failure", status_code=202)
async def fail(request: Request) -> None:
    """Give the relay an interval that it cannot wait for."""
    relay = request.app.state.relay
    relay.sweep_interval = None
    relay.wake({0})


bus: Bus[ServiceSettings] = Bus("second")
service = Service("second", ServiceSettings, Base.metadata, [router], bus)
