"""The OpenAPI document of a service, derived from its code so that it cannot become outdated."""

from chassis.openapi.document import describe
from chassis.openapi.names import operation_id
from chassis.openapi.refusals import refuses

__all__ = ["describe", "operation_id", "refuses"]
