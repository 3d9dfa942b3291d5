"""The document a service gives of its routes: read off the code, so that it cannot fall behind."""

from chassis.openapi.document import describe
from chassis.openapi.names import operation_id
from chassis.openapi.refusals import refuses

__all__ = ["describe", "operation_id", "refuses"]
