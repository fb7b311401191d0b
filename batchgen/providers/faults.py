"""Errors of the network's libraries -> faults of ours: the one place that knows their names."""

from __future__ import annotations

import os
import ssl

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError

from batchgen.core.classify import NetworkFault
from batchgen.providers.body import BodyTooSlowError, StreamCutError
from batchgen.providers.masking import Mask

_CLOSED_BEFORE = "Cannot write to closing transport"


class ForeignError(Exception):
    """An error of the network's libraries, retold: its kind and its masked words."""


FOREIGN: tuple[type[Exception], ...] = (
    aiohttp.ClientError,
    HttpProcessingError,
    OSError,  # time-outs and TLS errors are among them
    BodyTooSlowError,
    StreamCutError,
)
"""Everything that a request can raise beside a cancellation and a mistake of ours."""

_FAULTS: tuple[tuple[tuple[type[Exception], ...], NetworkFault], ...] = (
    # The first match counts, so the narrow come before the wide.
    ((aiohttp.ConnectionTimeoutError,), NetworkFault.CONNECT),
    ((aiohttp.ClientConnectorDNSError,), NetworkFault.DNS),
    ((aiohttp.ClientConnectorCertificateError,), NetworkFault.CERTIFICATE),
    ((aiohttp.ClientSSLError,), NetworkFault.TLS),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), NetworkFault.PROXY),
    ((aiohttp.ClientConnectorError,), NetworkFault.CONNECT),
    ((BodyTooSlowError,), NetworkFault.SLOW),
    ((TimeoutError,), NetworkFault.TIMEOUT),
    ((aiohttp.ClientPayloadError, PayloadEncodingError, StreamCutError), NetworkFault.CUT),
    ((aiohttp.ClientResponseError, HttpProcessingError), NetworkFault.GARBLED),
)


def fault_of(error: Exception) -> NetworkFault:
    """Name the fault; whatever is not listed is a lost connection."""
    return next((fault for kinds, fault in _FAULTS if isinstance(error, kinds)), NetworkFault.LOST)


def detail_of(error: Exception) -> str:
    """The words of an error that help a person, without object names; "" when it has none."""
    if isinstance(error, TimeoutError | aiohttp.ClientPayloadError):
        return ""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.message
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, ssl.SSLError):
        return (cause.reason or "").replace("_", " ").lower()
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        return os.strerror(cause.errno)
    return str(cause)


def never_written(error: BaseException | None) -> bool:
    """Whether a request found its connection closed before its first byte was written.

    aiohttp says so in words only (3.14: http_writer.py). Should they change, the request counts as sent, which
    is the careful side.
    """
    while error is not None:
        if isinstance(error, aiohttp.ClientConnectionResetError) and str(error) == _CLOSED_BEFORE:
            return True
        error = error.__cause__
    return False


def retold(error: Exception, mask: Mask) -> ForeignError:
    """The same error to be kept as a cause, without what it shows when printed: headers with the key, foreign words."""
    return ForeignError(f"{type(error).__name__}: {mask.text(str(error))}").with_traceback(error.__traceback__)
