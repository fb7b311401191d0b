"""Addresses of object stores, such as `s3://bucket/prefix`, and the clients that ask there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from batchgen.core.errors import UsageError
from batchgen.core.plain import is_web_address

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
_CONNECT_S = 5
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""Variables that name another server than the cloud's own."""


def is_url(place: str) -> bool:
    """Whether a place is an object store's and no folder; one with a slash too few is a slip, and no folder either."""
    return "://" in place or place.startswith(tuple(f"{scheme}:" for scheme in SCHEMES))


def url_fault(place: str) -> str | None:
    """What is wrong with the address of a store; its text is not repeated, since it may hold a key."""
    parts = urlsplit(place)
    if place.partition("://")[0] not in SCHEMES or not parts.netloc:
        return "is no folder and no store that is known (write a folder, or s3://BUCKET/PREFIX, gs://... or az://...)"
    if "@" in parts.netloc:
        return "must not hold a user or a key (keys come from the environment)"
    if "?" in place or "#" in place:
        return "must not have a query or fragment (end it after the prefix)"
    path = unquote(parts.path)  # as the store's client reads it
    if {".", ".."} & set(path.split("/")) or "//" in path or "\\" in path:
        return "must have a plain prefix (write s3://BUCKET/PREFIX)"
    return None


def open_client(url: str, options: Mapping[str, str], *, answer_s: float, retries: int) -> ObjectStore:
    """A client for a prefix; one request takes at most `answer_s`, and is sent again `retries` times at once.

    `options` are the store's own, without secrets (endpoint, region): those come from the environment. Raises
    `UsageError` without the extra, and for an address or options that are wrong.
    """
    if wrong := url_fault(url):
        raise UsageError(f"the output {wrong}")
    try:
        from obstore import exceptions
        from obstore.store import from_url
    except ImportError:
        raise UsageError(
            f'the output {url} needs the extra "objects": install it with `pip install "batchgen[objects]"`'
        ) from None
    config: Any = {key: value for key, value in options.items() if key != "allow_http"}
    if url.startswith("s3:"):
        config.setdefault("copy_if_not_exists", "multipart")
    # With options of its own, the client no longer asks the environment for this one.
    allow_http = (options.get("allow_http") or os.environ.get("AWS_ALLOW_HTTP", "")).lower() in {"true", "1"}
    if wrong := _endpoint_fault(url.partition("://")[0], options, allow_http=allow_http):
        raise UsageError(f"the output {url} cannot be opened: {wrong}")
    client: Any = {
        "timeout": timedelta(seconds=answer_s),
        "connect_timeout": timedelta(seconds=min(answer_s, _CONNECT_S)),
        "allow_http": allow_http,
    }
    retry: Any = {"max_retries": retries, "retry_timeout": timedelta(seconds=10)}
    try:
        return from_url(url, config=config, client_options=client, retry_config=retry)
    except (exceptions.BaseError, ValueError) as error:
        raise UsageError(
            f"the output {url} cannot be opened ({type(error).__name__}): check its address, `objects` in the "
            "configuration, and the credentials in the environment"
        ) from None


def _endpoint_fault(scheme: str, options: Mapping[str, str], *, allow_http: bool) -> str | None:
    """What is wrong with a server's address: the client would take it for one that is away, or break over it."""
    told = {name: os.environ.get(name) for name in _ENDPOINTS.get(scheme, ())}
    told = {"`objects: {endpoint: ...}`": options["endpoint"]} if options.get("endpoint") else told
    for where, endpoint in told.items():
        if endpoint and not is_web_address(endpoint):
            return f"what {where} names is no web address (write one such as https://s3.example.com)"
        if endpoint and endpoint.lower().startswith("http:") and not allow_http:
            return (
                f"what {where} names is an http address, which carries images in the clear; where that is meant, "
                "set `objects: {allow_http: true}` or AWS_ALLOW_HTTP=true"
            )
    return None
