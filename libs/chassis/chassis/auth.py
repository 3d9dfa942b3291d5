"""Authentication and authorisation: access tokens, permissions and calling services."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from chassis import clock, context
from chassis.errors import Forbidden, Unauthenticated, Unavailable, refuses
from chassis.keys import LEEWAY, BadToken, KeySet, TokenExpired
from chassis.ops import operations
from chassis.revocations import Revocations, TokenRevoked


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in user, by the claims of their access token."""

    id: UUID
    customer_id: UUID
    email: str = field(repr=False)
    email_verified: bool
    roles: frozenset[str]
    permissions: frozenset[str]
    session_id: UUID | None = None
    may_buy: bool = True
    generations: Mapping[UUID, int] = field(default_factory=dict, repr=False)
    expires_at: float = 0.0

    def may(self, permission: str) -> bool:
        """Whether the caller has a permission such as `orders:refund`."""
        return permission in self.permissions

    @property
    def principal(self) -> str:
        """The caller's name in idempotency keys and audit entries."""
        return f"user:{self.id}"


def caller_from_claims(claims: dict[str, Any]) -> Caller:
    """The caller of an access token. Raises BadToken for missing or malformed claims."""
    try:
        user_id, session = UUID(claims["sub"]), claims.get("sid")
        session_id = UUID(session) if session else None
        # A token without these claims is of an earlier release: generation 0.
        generations = {each: 0 for each in (user_id, session_id) if each is not None}
        named = {UUID(name): int(number) for name, number in claims.get("gen", {}).items()}
        return Caller(
            id=user_id,
            customer_id=UUID(claims["cid"]),
            email=str(claims["email"]),
            email_verified=claims["email_verified"] is True,
            roles=frozenset(claims["roles"]),
            permissions=frozenset(claims["permissions"]),
            session_id=session_id,
            may_buy=claims.get("buys", True) is True,
            generations=generations | named,
            expires_at=float(claims["exp"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise BadToken("The access token is not one of ours.") from None


_bearer = HTTPBearer(
    scheme_name="accessToken",
    auto_error=False,
    description="An access token of POST /v1/auth/login",
)
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


@refuses(BadToken, TokenExpired, TokenRevoked, Unavailable)
async def _maybe_caller(request: Request, bearer: Bearer) -> Caller | None:
    """The signed-in user, or None for a guest. A bad token is refused, never treated as a guest."""
    if bearer is None:
        if "authorization" in request.headers:
            raise BadToken("Authorization must be a bearer token.")
        return None
    caller = await _checked(request, bearer.credentials)
    context.set_actor(caller.principal)
    return caller


async def _checked(request: Request, token: str) -> Caller:
    keys: KeySet = request.app.state.keys
    revocations: Revocations = request.app.state.revocations
    caller = caller_from_claims(await keys.claims(token, "access"))
    await revocations.check(caller.generations)
    return caller


async def is_still_valid(revocations: Revocations, caller: Caller | None) -> bool:
    """Whether a caller's token is still valid; a stream checks it repeatedly.

    A guest has no token, so always True. Raises as `Revocations.check` when it is unknown.
    """
    if caller is None:
        return True
    if clock.now() > caller.expires_at + LEEWAY:
        return False
    try:
        await revocations.check(caller.generations)
    except TokenRevoked:
        return False
    return True


MaybeCaller = Annotated[Caller | None, Depends(_maybe_caller)]


@refuses(Unauthenticated)
async def caller(caller: MaybeCaller) -> Caller:
    """The signed-in user; guests are refused."""
    if caller is None:
        raise Unauthenticated(headers={"WWW-Authenticate": "Bearer"})
    return caller


SignedIn = Annotated[Caller, Depends(caller)]


# What each dependency made by `require_permission`, `has_permission` and `only_services` requires.
# The API document and the tests of access read it.
PERMISSIONS: dict[Callable[..., Any], str] = {}
CONDITIONAL_PERMISSIONS: dict[Callable[..., Any], str] = {}
CALLING_SERVICES: dict[Callable[..., Any], tuple[str, ...]] = {}


def require_permission(permission: str) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """A dependency that refuses callers without a permission.

    As in `Depends(require_permission("stock:write"))`.

    The changes that the request makes are recorded in the audit trail.
    """

    @refuses(Forbidden)
    async def check(request: Request, caller: SignedIn) -> Caller:
        if not caller.may(permission):
            raise Forbidden(f"You need the permission {permission}.")
        await operations.mark(request)
        return caller

    PERMISSIONS[check] = permission
    return check


def has_permission(permission: str) -> Callable[[Caller], Coroutine[Any, Any, bool]]:
    """A dependency that returns whether the caller has a permission.

    For routes that need it for some requests only, such as refunds.
    """

    async def check(caller: SignedIn) -> bool:
        return caller.may(permission)

    CONDITIONAL_PERMISSIONS[check] = permission
    return check


@dataclass(frozen=True, slots=True)
class ServiceCaller:
    """A calling service, and the user on whose behalf it calls (None for a guest)."""

    name: str
    on_behalf_of: Caller | None


@refuses(Unauthenticated, BadToken, TokenExpired, TokenRevoked, Unavailable)
async def service_caller(
    request: Request,
    bearer: Bearer,
    token: Annotated[str | None, Header(alias="X-Caller-Token", include_in_schema=False)] = None,
) -> ServiceCaller:
    """The calling service by its own token, with the user by theirs, if one is sent."""
    if bearer is None:
        raise Unauthenticated("This route is for services.")
    keys: KeySet = request.app.state.keys
    claims = await keys.claims(bearer.credentials, "service")
    user = await _checked(request, token) if token else None
    context.set_actor(user.principal if user else f"service:{claims['sub']}")
    return ServiceCaller(str(claims["sub"]), user)


Internal = Annotated[ServiceCaller, Depends(service_caller)]


def only_services(*names: str) -> Callable[[ServiceCaller], Coroutine[Any, Any, ServiceCaller]]:
    """A dependency that refuses all services but the named ones."""

    @refuses(Forbidden)
    async def check(caller: Internal) -> ServiceCaller:
        if caller.name not in names:
            raise Forbidden("This service may not call this route.")
        return caller

    CALLING_SERVICES[check] = names
    return check
