"""An answer or a fault -> failure class: pure decisions on statuses, headers and words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus

from batchgen.core.error_words import (
    AUTH_CODES,
    BILLING_CODES,
    BUSY_CODES,
    BUSY_WORDS,
    INVALID_CODES,
    KEY_WORDS,
    LIMIT_CODES,
    MISTAKEN_TYPES,
    MODEL_CODES,
    MODEL_WORDS,
    MONEY_WORDS,
    REFUSED_CODES,
    REFUSED_WORDS,
    SUDDEN_CODE,
)
from batchgen.core.plain import REASON_LIMIT, one_line
from batchgen.core.retry_after import retry_after_s
from batchgen.core.types import Failure, FailureClass, Paid


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The error object of an answer; what it left out is ""."""

    message: str = ""
    type: str = ""
    code: str = ""
    param: str = ""


class NetworkFault(StrEnum):
    """How a request failed without a usable answer."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    CERTIFICATE = "certificate"
    PROXY = "proxy"
    TIMEOUT = "timeout"
    LOST = "lost"
    CUT = "cut"
    SLOW = "slow"
    GARBLED = "garbled"


_FAULT_WORDS: Mapping[NetworkFault, str] = {
    NetworkFault.DNS: "the provider's name could not be resolved",
    NetworkFault.CONNECT: "no connection to the provider",
    NetworkFault.TLS: "no secure connection to the provider",
    NetworkFault.CERTIFICATE: "the provider's certificate was not accepted",
    NetworkFault.PROXY: "the proxy did not let the request through",
    NetworkFault.TIMEOUT: "no whole answer before the deadline",
    NetworkFault.LOST: "the connection was lost",
    NetworkFault.CUT: "the answer was cut short",
    NetworkFault.SLOW: "the answer came too slowly",
    NetworkFault.GARBLED: "the answer was not HTTP that can be read",
}

_BELIEVED_IN_2XX = frozenset(
    {FailureClass.REFUSED, FailureClass.BILLING, FailureClass.AUTH, FailureClass.MODEL}
)
"""What an error in a good answer may be: a good answer counts as paid for, so that what would be sent again is none of
it. These are not, and say that nothing can have been made."""

_LOST_STATUSES = frozenset({408, 499})
_FAILED_STATUSES = frozenset({500, 501, 503, 505, 525, 526, 529, 530})
"""5xx with which a server says that it made nothing; of the others (502, 504, 520-524 ...) nobody knows."""
_NO_SUCH_ADDRESS = frozenset({404, 405, 410})
_CONFLICTS = frozenset({409, 425})

_PAID: Mapping[FailureClass, Paid] = {
    FailureClass.UNKNOWN: Paid.MAYBE,
    FailureClass.NO_IMAGE: Paid.YES,
    FailureClass.DOWNLOAD: Paid.YES,
}


def classify_status(
    status: int, headers: Mapping[str, str], error: ErrorBody | None, body_excerpt: str, now: datetime
) -> Failure:
    """Turn an answer that brought no image into a failure. Header names are in lower case; `now` is aware.

    Codes are those documented by OpenAI (developers.openai.com, "Error codes"), CometAPI (apidoc.cometapi.com,
    "Error codes") and the new-api gateway (github.com/QuantumNous/new-api, types/error.go); those of others,
    and words, are in `error_words`. 502, 504 and 520 to 524 come from gateways that gave up waiting: the image may
    have been made.
    """
    body = error or ErrorBody()
    kind = _class_of(status, body, waits=_asks_to_wait(headers, now))
    again = kind in {FailureClass.RATE_LIMITED, FailureClass.TRANSIENT}
    return Failure(
        kind,
        _status_reason(status, kind, headers, body, body_excerpt),
        paid=_PAID.get(kind, Paid.NO),
        http_status=status,
        request_id=request_id(headers, body.message),
        retry_after_s=retry_after_s(headers, body.message, now) if again else None,
        too_sudden=kind is FailureClass.RATE_LIMITED and SUDDEN_CODE in _codes(body),
    )


def classify_event(
    error: ErrorBody, *, status: int, headers: Mapping[str, str], begun: bool, now: datetime
) -> Failure:
    """Turn an error that came in a stream of events, behind a good status, into a failure.

    By its code, else by its type: what is wrong with the request is final, anything else is the provider's trouble.
    `begun` is whether partial images had come: then the provider may charge for its work.
    """
    mistaken = error.type.lower() in MISTAKEN_TYPES
    kind = _class_of_code(error) or (
        _class_of_4xx(HTTPStatus.BAD_REQUEST, error)
        if mistaken
        else _class_of_5xx(HTTPStatus.INTERNAL_SERVER_ERROR, error, waits=False)
    )
    again = kind in {FailureClass.RATE_LIMITED, FailureClass.TRANSIENT}
    words = error.message or error.code or "no message in the event"
    return Failure(
        kind,
        one_line(f"the stream ended with an error: {words}"),
        paid=Paid.MAYBE if begun else Paid.NO,
        http_status=status,
        request_id=request_id(headers, error.message),
        retry_after_s=retry_after_s(headers, error.message, now) if again else None,
        too_sudden=kind is FailureClass.RATE_LIMITED and SUDDEN_CODE in _codes(error),
    )


def _class_of(status: int, error: ErrorBody, *, waits: bool) -> FailureClass:
    if 200 <= status < 300:
        kind = _class_of_code(error)
        return kind if kind in _BELIEVED_IN_2XX else FailureClass.NO_IMAGE
    if 400 <= status < 500 and status not in _LOST_STATUSES:
        return _class_of_code(error) or _class_of_4xx(status, error)
    if status in _FAILED_STATUSES:
        return _class_of_code(error) or _class_of_5xx(status, error, waits=waits)
    return FailureClass.UNKNOWN


def _codes(error: ErrorBody) -> set[str]:
    return {error.code.lower(), error.type.lower()}


def _class_of_code(error: ErrorBody) -> FailureClass | None:
    """What a documented code means, whatever the status around it: gateways remap statuses."""
    codes = _codes(error)
    tables = (
        (BILLING_CODES, FailureClass.BILLING),
        (REFUSED_CODES, FailureClass.REFUSED),
        (MODEL_CODES, FailureClass.MODEL),
        (AUTH_CODES, FailureClass.AUTH),
        (LIMIT_CODES, FailureClass.RATE_LIMITED),
    )
    return next((kind for table, kind in tables if codes & table), None)


def _class_of_4xx(status: int, error: ErrorBody) -> FailureClass:
    # A complaint about one parameter, such as `moderation`, is no refusal of the prompt and stops no job.
    general = error.param in {"", "prompt"}
    if status == HTTPStatus.PAYMENT_REQUIRED or (general and MONEY_WORDS.search(error.message)):
        return FailureClass.BILLING
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return FailureClass.RATE_LIMITED
    if MODEL_WORDS.search(error.message):
        return FailureClass.MODEL
    if general and REFUSED_WORDS.search(error.message):
        return FailureClass.REFUSED
    if status in {401, 403} or (general and KEY_WORDS.search(error.message)):
        return FailureClass.AUTH
    if status in _CONFLICTS or _busy(error):
        return FailureClass.TRANSIENT
    return FailureClass.MODEL if status in _NO_SUCH_ADDRESS else FailureClass.INVALID


def _class_of_5xx(status: int, error: ErrorBody, *, waits: bool) -> FailureClass:
    if MODEL_WORDS.search(error.message):
        return FailureClass.MODEL
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and error.code.lower() in INVALID_CODES:
        return FailureClass.INVALID
    if status == HTTPStatus.SERVICE_UNAVAILABLE and waits:
        return FailureClass.RATE_LIMITED
    return FailureClass.TRANSIENT


def _busy(error: ErrorBody) -> bool:
    return error.code.lower() in BUSY_CODES or bool(BUSY_WORDS.search(error.message))


def _asks_to_wait(headers: Mapping[str, str], now: datetime) -> bool:
    """Whether a usable `Retry-After` came; junk is as none."""
    asked = {name: headers[name] for name in ("retry-after", "retry-after-ms") if name in headers}
    return retry_after_s(asked, "", now) is not None


def _status_reason(
    status: int, kind: FailureClass, headers: Mapping[str, str], error: ErrorBody, body_excerpt: str
) -> str:
    words = error.message or error.code or _spoken(body_excerpt)
    if 300 <= status < 400:
        target = headers.get("location", "").partition("?")[0]
        words = f"the base URL seems wrong: it redirects{f' to {target}' if target else ''} (not followed)"
    elif status in _NO_SUCH_ADDRESS and not error.message:
        words = f"no such address: check the base URL and the model. {words}".rstrip()
    elif kind is FailureClass.UNKNOWN:
        words = f"the answer was lost on its way, an image may have been made. {words}".rstrip()
    elif kind is FailureClass.NO_IMAGE:
        words = f"the answer holds no image. {words}".rstrip()
    words = words or "no message in the answer"
    return one_line(f"HTTP {_named(status)}: {words}")


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,300})", re.IGNORECASE)


def _spoken(excerpt: str) -> str:
    """The words of a body that holds no error object; of a web page only its title."""
    text = excerpt.strip()
    if not text.startswith("<"):
        return text
    title = _TITLE.search(text)
    return f"a web page came instead of JSON{f' ({title[1].strip()})' if title else ''}"


def is_redirect(failure: Failure) -> bool:
    """Whether the answer was a redirect, which is never followed: it would carry the key and buy elsewhere."""
    return failure.failure_class is FailureClass.UNKNOWN and 300 <= (failure.http_status or 0) < 400


def fault_words(fault: NetworkFault) -> str:
    """A fault in words."""
    return _FAULT_WORDS[fault]


def classify_network(
    fault: NetworkFault, *, bytes_sent: bool, answer_begun: bool = False, detail: str = ""
) -> Failure:
    """Turn a fault into a failure. What never left this machine is tried again; all else is unknown.

    A wrong certificate stops the job, as a wrong key does: trying again would not mend it.
    """
    told = f" ({detail})" if detail else ""
    words = f"{_FAULT_WORDS[fault]}{told}"
    if not bytes_sent:
        kind = FailureClass.AUTH if fault is NetworkFault.CERTIFICATE else FailureClass.TRANSIENT
        return Failure(kind, one_line(f"{words}; nothing was sent"), nothing_sent=True)
    paid = Paid.YES if answer_begun else Paid.MAYBE
    risk = "the image was probably charged" if answer_begun else "an image may have been made and charged"
    # The end of the sentence matters more than the fault's own words, so those are cut first.
    head = one_line(words, REASON_LIMIT - len(risk) - 2)
    return Failure(FailureClass.UNKNOWN, f"{head}; {risk}", paid=paid)


_ID_HEADERS = ("x-request-id", "request-id", "x-oneapi-request-id", "x-amzn-requestid", "cf-ray")
_ID_WORDS = re.compile(r"request[ _]id:? ?([A-Za-z0-9_-]{4,80})", re.IGNORECASE)


def request_id(headers: Mapping[str, str], message: str = "") -> str | None:
    """The provider's own id of a request, to ask about it: from the headers, else from the message."""
    told = next((headers[name] for name in _ID_HEADERS if headers.get(name)), "")
    if not told and (found := _ID_WORDS.search(message)):
        told = found[1]
    return one_line(told, 100) or None
