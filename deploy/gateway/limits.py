"""How many requests a caller may make: token buckets in the gateway's memory."""

import math

from routes import Json

TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"

# Whom a rate limit counts. An IPv6 household owns a whole /64, so that is one address.
COUNTED: dict[str, Json] = {
    "address": {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}},
    "principal": {
        "metadata": {
            "descriptor_key": "principal",
            "metadata_key": {
                "key": "envoy.filters.http.jwt_authn",
                "path": [{"key": "claims"}, {"key": "sub"}],
            },
        }
    },
}


def limit_before_token(per_address: int) -> Json:
    """Count addresses; a refusal carries this limit, any other response that of the next filter."""
    exhausted = {"x-ratelimit-limit": per_address, "x-ratelimit-remaining": 0}
    wait = seconds_per_request(per_address)
    headers = exhausted | {"x-ratelimit-reset": wait, "retry-after": wait}
    return rate_limit("before_token", {"address": per_address}, headers)


def limit_after_token(per_address: int, per_principal: int) -> Json:
    """Count principals; an address over its limit never gets here, so only they are refused."""
    per_minute = {"address": per_address, "principal": per_principal}
    headers = {"retry-after": seconds_per_request(per_principal)}
    return {
        **rate_limit("after_token", per_minute, headers),
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
    }


def seconds_per_request(per_minute: int) -> int:
    """Return how long an empty bucket takes to hold one request again."""
    return math.ceil(60 / max(per_minute, 1))


def rate_limit(name: str, per_minute: dict[str, int], headers: dict[str, int]) -> Json:
    """Give each caller a token bucket that refills steadily; a limit of 0 is no limit.

    per_minute: requests a minute by what is counted, `address` or `principal`.
    headers: what a refusal carries.
    """
    limits = {kind: limit for kind, limit in per_minute.items() if limit}
    share = {"default_value": {"numerator": 100 if limits else 0, "denominator": "HUNDRED"}}
    return {
        "@type": TYPE,
        "stat_prefix": name,
        "filter_enabled": share,
        "filter_enforced": share,
        "rate_limits": [{"actions": [COUNTED[kind]]} for kind in limits],
        "descriptors": [bucket_per_value(kind, limit) for kind, limit in limits.items()],
        "max_dynamic_descriptors": 50_000,
        "always_consume_default_token_bucket": False,
        "response_headers_to_add": [
            {"header": {"key": key, "value": str(value)}} for key, value in headers.items()
        ],
    }


def bucket_per_value(kind: str, per_minute: int) -> Json:
    """Describe the buckets: an entry without a value stands for one per value."""
    (action,) = COUNTED[kind].values()
    return {
        "entries": [{"key": action.get("descriptor_key", "masked_remote_address")}],
        "token_bucket": {
            "max_tokens": per_minute,
            "tokens_per_fill": per_minute,
            "fill_interval": "60s",
        },
    }
