"""The gateway's own refusals, as RFC 9457 problem documents."""

from routes import Json

EXPRESSION = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
HEADERS = {503: {"retry-after": "2"}}

# status: (code, title, detail). Codes and titles are the services' where both refuse.
REFUSALS = {
    400: ("malformed_request", "Bad request", "The request cannot be understood."),
    401: ("invalid_token", "Not signed in", "The access token is not valid; sign in again."),
    403: ("forbidden", "Not allowed", "You may not do this."),
    404: ("not_found", "Not found", "There is nothing at this path."),
    408: ("request_timeout", "Too slow", "The request took too long to arrive."),
    413: ("body_too_large", "Too large", "A request body may hold at most 1 MiB."),
    426: ("upgrade_required", "Upgrade required", "Speak HTTP/1.1 or HTTP/2."),
    429: ("rate_limited", "Too many requests", "Wait for the seconds of Retry-After, then go on."),
    431: (
        "headers_too_large",
        "Headers too large",
        "The headers may hold at most 16 KiB and 100 lines.",
    ),
    500: ("internal_error", "Internal error", "The gateway failed; try again."),
    501: ("not_implemented", "Not implemented", "The gateway knows no such transfer encoding."),
    502: ("bad_gateway", "Bad gateway", "The service gave an answer that makes no sense."),
    503: ("unavailable", "Unavailable", "The service is unavailable; try again soon."),
    504: ("gateway_timeout", "Gateway timeout", "The service took too long to answer."),
}


def refusals() -> list[Json]:
    """Write Envoy's own errors as problem documents; the first mapper that matches is used."""
    challenge = 'Bearer realm="cartwright", error="invalid_token"'
    keys_away = {
        "filter": matches("response.code_details.contains('Jwks_remote_fetch_is_failed')"),
        **problem(503, HEADERS[503]),
    }
    # Envoy answers 403 to a token for another audience, as though signing in again were no help.
    wrong_audience = {
        "filter": matches("response.code_details.contains('Audiences_in_Jwt_are_not_allowed')"),
        **problem(401, {"www-authenticate": challenge}),
    }
    by_status = [
        {"filter": has_status(status), **problem(status, HEADERS.get(status, {}))}
        for status in REFUSALS
    ]
    return [keys_away, wrong_audience, *by_status]


def problem(status: int, headers: dict[str, str]) -> Json:
    """Answer with this status, whatever Envoy had in mind."""
    code, title, detail = REFUSALS[status]
    return {
        "status_code": status,
        "headers_to_add": [
            {"header": {"key": key, "value": value}} for key, value in headers.items()
        ],
        "body_format_override": {
            "content_type": "application/problem+json",
            "json_format": {
                "type": f"urn:cartwright:problem:{code}",
                "title": title,
                "status": status,
                "code": code,
                "detail": detail,
                "request_id": "%REQUEST_HEADER(X-REQUEST-ID)%",
            },
        },
    }


def has_status(status: int) -> Json:
    """Fit where Envoy answers with this status."""
    comparison = {"op": "EQ", "value": {"default_value": status, "runtime_key": "unused"}}
    return {"status_code_filter": {"comparison": comparison}}


def matches(expression: str) -> Json:
    """Fit where a CEL expression over the answer is true."""
    config = {"@type": EXPRESSION, "expression": expression}
    return {"extension_filter": {"name": "cel", "typed_config": config}}
