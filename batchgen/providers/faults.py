"""Errors of the network's libraries -> faults of ours: the one place that knows their names."""

from __future__ import annotations

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError

from batchgen.core.classify import NetworkFault
from batchgen.providers.body import BodyEncodingError, BodyTooSlowError

FOREIGN: tuple[type[Exception], ...] = (
    aiohttp.ClientError,
    HttpProcessingError,
    OSError,  # time-outs and TLS errors are among them
    BodyEncodingError,
    BodyTooSlowError,
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
    ((aiohttp.ClientPayloadError, PayloadEncodingError), NetworkFault.CUT),
    ((aiohttp.ClientResponseError, HttpProcessingError, BodyEncodingError), NetworkFault.GARBLED),
)


def fault_of(error: Exception) -> NetworkFault:
    """Name the fault; whatever is not listed is a lost connection."""
    return next((fault for kinds, fault in _FAULTS if isinstance(error, kinds)), NetworkFault.LOST)


def detail_of(error: Exception) -> str:
    """The words of an error that help a person, without object names; "" when it has none."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.message
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return "" if isinstance(error, TimeoutError) else str(cause)


def without_headers(error: Exception) -> Exception:
    """Take the request's headers out of an error that shows them when printed: the key is among them."""
    if isinstance(error, aiohttp.ClientResponseError):
        info = error.request_info
        headers = info.headers.copy()
        headers.clear()
        error.request_info = aiohttp.RequestInfo(
            info.url, info.method, type(info.headers)(headers), info.real_url
        )
        error.args = (error.request_info, ())
    return error
