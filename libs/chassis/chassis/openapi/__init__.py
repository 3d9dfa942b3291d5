"""The OpenAPI document of a service, derived from its routes so that it cannot become outdated."""

from chassis.openapi.document import describe
from chassis.openapi.names import operation_id

__all__ = ["describe", "operation_id"]
