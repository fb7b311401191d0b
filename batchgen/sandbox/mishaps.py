"""What can go wrong with one request, by the names that `batchgen sandbox --fail` takes: a table, and nothing else.

Codes, types and words are those that OpenAI (developers.openai.com, "Error codes"), CometAPI (apidoc.cometapi.com, "Error
codes") and gateways of the new-api family (github.com/QuantumNous/new-api, types/error.go) are known to send.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType

from batchgen.core.types import JsonObject, JsonValue


class Way(Enum):
    """When it goes wrong: `INSTEAD` of painting; the others once the image is painted and charged.

    An error event in a stream is the body of an error, or `BARE` what is in its envelope.
    """

    INSTEAD = auto()
    AFTER = auto()
    IN_STREAM = auto()
    IN_STREAM_BARE = auto()
    CUT = auto()
    SLOW = auto()


@dataclass(frozen=True, slots=True)
class Mishap:
    """One way to fail. `body` is a JSON answer, or the text of a web page; `waits` says how long in a Retry-After.

    What goes wrong in a stream is an ordinary error where the answer is not streamed.
    """

    about: str
    status: int = 200
    body: JsonObject | str = ""
    way: Way = Way.INSTEAD
    waits: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


CUT, SLOW, RATE_LIMIT, ERROR = "cut", "slow", "rate_limit_exceeded", "server_error"
"""Names that options of their own ask for, too."""

_ID = "20261123080910123456789AbCdEfGhI"


def _openai(
    kind: str, code: str | None, message: str, param: str | None = None, **more: JsonValue
) -> JsonObject:
    return {"error": {"message": message, "type": kind, "param": param, "code": code, **more}}


def _comet(code: str, message: str) -> JsonObject:
    words = f"{message} (request id: {_ID})"
    return {"error": {"message": words, "type": "comet_api_error", "param": "", "code": code}}


def _newapi(kind: str, code: JsonValue, message: str) -> JsonObject:
    words = f"{message} (request id: {_ID})"
    return {"error": {"message": words, "type": kind, "param": "", "code": code}}


def _page(title: str) -> str:
    return f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"


_REQUEST, _USER = "invalid_request_error", "image_generation_user_error"
_REJECTED = "Your request was rejected by the safety system."
_SERVER = "The server had an error while processing your request. You can retry it."
_VERIFY = (
    "Your organization must be verified to use the model `gpt-image-2`. Please go to the organization settings "
    "and click on Verify Organization."
)
_REFUSED = _openai(
    _USER,
    "moderation_blocked",
    _REJECTED,
    moderation_details={"moderation_stage": "output", "categories": ["violence"]},
)

MISHAPS: Mapping[str, Mishap] = MappingProxyType(
    {
        # The image is made and charged.
        CUT: Mishap("the connection ends in the middle of the answer", way=Way.CUT),
        SLOW: Mishap("the answer comes late, by --slow", way=Way.SLOW),
        "stream_error": Mishap(
            "an error event ends the stream, as OpenAI's client knows it",
            500,
            _openai("server_error", None, _SERVER),
            Way.IN_STREAM,
        ),
        "stream_error_bare": Mishap(
            "the same without an `error` around it, as OpenAI's document has it",
            500,
            _openai("server_error", None, _SERVER),
            Way.IN_STREAM_BARE,
        ),
        "stream_refused": Mishap(
            "an error event ends the stream: what was painted is refused", 400, _REFUSED, Way.IN_STREAM
        ),
        "empty": Mishap("an answer without any image", 200, {"created": 1, "data": []}, Way.AFTER),
        "gateway_timeout": Mishap(
            "504, a gateway gave up waiting", 504, _page("504 Gateway Time-out"), Way.AFTER
        ),
        "cloudflare_timeout": Mishap("524, likewise", 524, _page("524: A timeout occurred"), Way.AFTER),
        # OpenAI.
        RATE_LIMIT: Mishap(
            "429 with Retry-After",
            429,
            _openai("requests", "rate_limit_exceeded", "Too many requests; slow down."),
            waits=True,
        ),
        "slow_down": Mishap(
            "429, traffic grew too fast",
            429,
            _openai(
                "requests", "slow_down", "Traffic rose too fast. Reduce your request rate and raise it slowly."
            ),
            waits=True,
        ),
        ERROR: Mishap("500", 500, _openai("server_error", None, _SERVER)),
        "overloaded": Mishap(
            "503",
            503,
            _openai("server_error", None, "The engine is currently overloaded, please try again later."),
        ),
        "request_timeout": Mishap("408", 408, _openai(_REQUEST, None, "The request timed out.")),
        "conflict": Mishap("409", 409, _openai(_REQUEST, None, "The resource was updated by another request.")),
        "too_large": Mishap("413", 413, _openai(_REQUEST, None, "The request body is too large.")),
        "moderation_blocked": Mishap("400, what was painted is refused", 400, _REFUSED),
        "content_policy_violation": Mishap(
            "400, the prompt is refused", 400, _openai(_REQUEST, "content_policy_violation", _REJECTED)
        ),
        "invalid_value": Mishap(
            "400, a parameter is refused",
            400,
            _openai(_USER, "invalid_value", "Invalid size: below the current minimum pixel budget.", "size"),
        ),
        "invalid_api_key": Mishap(
            "401", 401, _openai(_REQUEST, "invalid_api_key", "Incorrect API key provided.")
        ),
        "account_deactivated": Mishap(
            "401", 401, _openai(_REQUEST, "account_deactivated", "The account of this key was deactivated.")
        ),
        "unverified": Mishap("403, the organization is not verified", 403, _openai(_REQUEST, None, _VERIFY)),
        "unsupported_country": Mishap(
            "403, not from here",
            403,
            _openai(
                "request_forbidden",
                "unsupported_country_region_territory",
                "Country, region, or territory not supported.",
            ),
        ),
        "model_not_found": Mishap(
            "404",
            404,
            _openai(_REQUEST, "model_not_found", "The model does not exist or you do not have access to it."),
        ),
        "insufficient_quota": Mishap(
            "429, out of money",
            429,
            _openai(
                "insufficient_quota",
                "insufficient_quota",
                "You exceeded your current quota, please check your plan and billing details.",
            ),
        ),
        "spend_limit": Mishap(
            "429, a limit of spending is reached",
            429,
            _openai(
                "insufficient_quota",
                "organization_spend_limit_exceeded",
                "Your organization has reached its spend limit.",
            ),
        ),
        "billing_hard_limit_reached": Mishap(
            "400, out of money",
            400,
            _openai(_REQUEST, "billing_hard_limit_reached", "Billing hard limit has been reached."),
        ),
        # CometAPI.
        "comet_invalid_request": Mishap(
            "500 although the request is bad", 500, _comet("invalid_request", "the request body is malformed")
        ),
        "comet_invalid_token": Mishap("401", 401, _comet("", "invalid token")),
        "comet_no_channel": Mishap(
            "503, nobody serves the model",
            503,
            _comet("model_not_found", "no available channel for group default and model gpt-image-2"),
        ),
        "comet_error": Mishap("500 without a code", 500, _comet("", "upstream failed, please try again")),
        # Gateways of the new-api family, whose codes need not be words.
        "newapi_upstream_error": Mishap(
            "500 with a number as code",
            500,
            _newapi("upstream_error", 1213, "upstream error: do request failed"),
        ),
        "newapi_bad_response": Mishap(
            "400, the gateway could not read an answer",
            400,
            _newapi("new_api_error", "bad_response_status_code", "bad response status code 502"),
        ),
        "newapi_busy": Mishap(
            "429, all upstreams are busy",
            429,
            _newapi("new_api_error", None, "当前分组上游负载已饱和，请稍后再试"),
        ),
        "newapi_convert": Mishap(
            "500 although the request is bad",
            500,
            _newapi("new_api_error", "convert_request_failed", "field size is not supported"),
        ),
        "newapi_quota": Mishap(
            "403, out of money",
            403,
            _newapi("new_api_error", "insufficient_user_quota", "user quota is not enough, remaining $0.00"),
        ),
        "newapi_token_quota": Mishap(
            "403, the key is out of money",
            403,
            _newapi("new_api_error", "pre_consume_token_quota_failed", "token quota is not enough"),
        ),
        "newapi_concurrency": Mishap(
            "429, too many at a time",
            429,
            _newapi(
                "new_api_error", "token_concurrency_limit_reached", "concurrency limit of the token reached"
            ),
        ),
        "newapi_sensitive_words": Mishap(
            "400, the prompt is refused",
            400,
            _newapi("new_api_error", "sensitive_words_detected", "sensitive words detected"),
        ),
        # Gateways and servers in between.
        "payment_required": Mishap(
            "402, out of money", 402, {"error": {"message": "Payment required: insufficient credits."}}
        ),
        "bad_gateway": Mishap("502, a web page", 502, _page("502 Bad Gateway")),
        "web_page": Mishap("200 with a web page, as of a wrong base URL", 200, _page("CometAPI")),
        "redirect": Mishap(
            "301, as of a wrong base URL", 301, _page("301 Moved Permanently"), headers={"Location": "/home"}
        ),
    }
)
