"""Settings of all tests: property tests have no deadline, and a timeout prints asyncio's tasks."""

import asyncio
import gc
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Add the stacks of all tasks to a timeout: the thread's stack ends in the event loop."""
    report = yield
    if call.excinfo and str(call.excinfo.value).startswith("Timeout"):
        tasks = [each for each in gc.get_objects() if isinstance(each, asyncio.Task)]
        lines = [line for task in tasks if not task.done() for line in _stack(task)]
        report.sections.append(("Tasks of asyncio", "\n".join(lines)))
    return report


def _stack(task: "asyncio.Task[Any]") -> Iterator[str]:
    yield task.get_name()
    awaited: Any = task.get_coro()
    while frame := getattr(awaited, "cr_frame", None):
        yield f'  File "{frame.f_code.co_filename}", line {frame.f_lineno}, in {awaited.__name__}'
        awaited = awaited.cr_await
