"""The operator's login: the shop's address and the tokens, in a file that only its owner reads.

`CARTWRIGHT_URL` with `CARTWRIGHT_TOKEN`, or with `CARTWRIGHT_EMAIL` and `CARTWRIGHT_PASSWORD`,
replaces the file, for jobs.
"""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from cartwright.refusals import Refusal

TIME_LIMIT = httpx.Timeout(30.0, connect=5.0)
REFRESH_BEFORE = 30.0
LOGIN_HINT = "type `cartwright login --url http://… --email you@…` first."


@dataclass
class Session:
    """A login; its access token expires at `expires_at`, in seconds since 1970."""

    url: str
    email: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False, default="")
    expires_at: float = 0.0


def file() -> Path:
    """The file of the stored login."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "cartwright" / "session.json"


def current() -> Session:
    """Return the login, refreshed when it is about to expire. Raises Refusal when there is none."""
    url = os.environ.get("CARTWRIGHT_URL", "").rstrip("/")
    if token := os.environ.get("CARTWRIGHT_TOKEN"):
        return Session(_required(url), "", token, expires_at=float("inf"))
    email, password = os.environ.get("CARTWRIGHT_EMAIL"), os.environ.get("CARTWRIGHT_PASSWORD")
    if email and password:
        return log_in(_required(url), email, password)
    stored = _read()
    if stored.expires_at - REFRESH_BEFORE < time.time():
        stored = _refreshed(stored)
        save(stored)
    return stored


def log_in(url: str, email: str, password: str) -> Session:
    """Log in at the shop behind `url`; raises Refusal."""
    body = {"email": email, "password": password}
    return _with_tokens(url.rstrip("/"), email, _post(url, "/v1/auth/login", body))


def save(session: Session) -> None:
    """Store the login in a file that only its owner can read."""
    place = file()
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = place.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as written:
        json.dump(asdict(session), written)
    fresh.replace(place)


def log_out() -> bool:
    """Delete the file and revoke the session; False when there was no login."""
    if not file().exists():
        return False
    stored = _read()
    file().unlink()
    _post(stored.url, "/v1/auth/logout", {"refresh_token": stored.refresh_token})
    return True


def _required(url: str) -> str:
    if not url:
        raise Refusal("CARTWRIGHT_URL is not set: the gateway's address, as http://127.0.0.1:8080.")
    return url


def _read() -> Session:
    try:
        return Session(**json.loads(file().read_text()))
    except FileNotFoundError:
        raise Refusal(f"you are not logged in: {LOGIN_HINT}") from None
    except (OSError, ValueError, TypeError):
        raise Refusal(f"{file()} cannot be read: {LOGIN_HINT}") from None


def _refreshed(stored: Session) -> Session:
    try:
        answer = _post(stored.url, "/v1/auth/refresh", {"refresh_token": stored.refresh_token})
    except Refusal as refusal:
        raise Refusal(f"your login has expired ({refusal}): {LOGIN_HINT}") from None
    return _with_tokens(stored.url, stored.email, answer)


def _with_tokens(url: str, email: str, answer: dict[str, Any]) -> Session:
    ends = time.time() + float(answer["expires_in"])
    return Session(url, email, answer["access_token"], answer["refresh_token"], ends)


def _post(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = httpx.post(f"{url.rstrip('/')}{path}", json=body, timeout=TIME_LIMIT)
    except httpx.HTTPError as error:
        raise Refusal(f"{url} does not answer ({error}); is the suite up?") from None
    if answer.is_error:
        raise Refusal(problem_of(answer))
    found: dict[str, Any] = answer.json() if answer.content else {}
    return found


def problem_of(answer: httpx.Response) -> str:
    """The detail and code of a problem document, or else the status."""
    try:
        problem = answer.json()
        return f"{problem['detail']} ({problem['code']})"
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.url.path} was answered with {answer.status_code}"
