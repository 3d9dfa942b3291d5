"""The CloudEvents 1.0 attributes around every message, the same on AMQP and in JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

PREFIX = "cloudEvents:"
SPEC_VERSION = "1.0"


class BadEnvelope(ValueError):
    """A message's headers lack an attribute that every message must carry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """CloudEvents attributes with Cartwright's extensions.

    id: UUIDv7, assigned when the outbox row is written; retry, redrive and replay preserve it.
    sequence: position of an event in its aggregate's history, from 1; None on commands.
    correlation_id: the order, or other business process, that the message belongs to.
    causation_id: the message that caused this one; None when a request caused it.
    actor: `user:<id>`, `guest`, `service:<name>` or `system`.
    """

    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    sequence: int | None = None
    correlation_id: str
    causation_id: UUID | None = None
    actor: str
    traceparent: str

    def attributes(self) -> dict[str, str | int]:
        """Every attribute that has a value, by its CloudEvents name."""
        attributes: dict[str, str | int | None] = {
            "specversion": SPEC_VERSION,
            "id": str(self.id),
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time.astimezone(UTC).isoformat(),
            "datacontenttype": "application/json",
            "dataschema": f"urn:cartwright:schema:{self.type}",
            "sequence": self.sequence,
            "correlationid": self.correlation_id,
            "causationid": str(self.causation_id) if self.causation_id else None,
            "actor": self.actor,
            "traceparent": self.traceparent,
        }
        return {key: value for key, value in attributes.items() if value is not None}

    def headers(self) -> dict[str, str | int]:
        """The attributes as AMQP headers `cloudEvents:*`."""
        return {PREFIX + key: value for key, value in self.attributes().items()}

    @classmethod
    def of(cls, headers: Mapping[str, Any]) -> "Envelope":
        """Parse AMQP headers. Raises BadEnvelope when an attribute is missing or malformed."""
        return cls.of_attributes(
            {
                key.removeprefix(PREFIX): value
                for key, value in headers.items()
                if key.startswith(PREFIX)
            }
        )

    @classmethod
    def of_attributes(cls, attributes: Mapping[str, Any]) -> "Envelope":
        """Parse CloudEvents attributes. Raises BadEnvelope when one is missing or malformed."""

        def text(name: str) -> str:
            value = attributes.get(name)
            if isinstance(value, bytes):
                value = value.decode(errors="replace")
            if not isinstance(value, str) or not value:
                raise BadEnvelope(f"the attribute {name} is missing")
            return value

        sequence, cause = attributes.get("sequence"), attributes.get("causationid")
        try:
            return cls(
                id=UUID(text("id")),
                source=text("source"),
                type=text("type"),
                subject=text("subject"),
                time=datetime.fromisoformat(text("time")),
                sequence=int(sequence) if sequence is not None else None,
                correlation_id=text("correlationid"),
                causation_id=UUID(text("causationid")) if cause else None,
                actor=text("actor"),
                traceparent=text("traceparent"),
            )
        except (TypeError, ValueError) as error:
            raise BadEnvelope(str(error)) from None
