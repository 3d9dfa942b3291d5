"""The mail catcher as a process that a test starts, configures and stops."""

from typing import Any

from testkit.processes import ServerProcess, free_port


class CatcherProcess(ServerProcess):
    """A mail catcher; stopping it loses its mails."""

    def __init__(self) -> None:
        self.smtp_port = free_port()
        super().__init__("mailcatcher", {}, SMTP_PORT=str(self.smtp_port))

    def list(self, **query: Any) -> list[dict[str, Any]]:
        """The caught mails, newest first; `query` is that of `GET /messages`."""
        found: list[dict[str, Any]] = self._get("/messages", **query)
        return found

    def get(self, mail_id: int) -> dict[str, Any]:
        """One mail with its bodies and headers."""
        found: dict[str, Any] = self._get(f"/messages/{mail_id}")
        return found

    def refuse(self, times: int, *, permanently: bool = False) -> None:
        """Reject the next mails, temporarily or permanently."""
        behaviour = {"refuse": times, "for_good": permanently}
        self.client.post("/behaviour", json=behaviour).raise_for_status()

    def reset(self) -> None:
        """Delete all mails and reject none."""
        self.client.delete("/messages").raise_for_status()
        self.refuse(0)

    def _get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, params=query).raise_for_status().json()
