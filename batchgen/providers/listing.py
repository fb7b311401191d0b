"""Asking a provider which models it serves, and at which price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from batchgen.catalogue.dialects import path_of
from batchgen.catalogue.listing import Listed
from batchgen.core.classify import fault_words
from batchgen.core.errors import ListingError
from batchgen.core.plain import one_line
from batchgen.core.types import JsonValue
from batchgen.core.values import replace
from batchgen.providers.answers import error_of, json_of
from batchgen.providers.body import CHUNK_BYTES, LARGE_BYTES, BodyTooLargeError, collect
from batchgen.providers.connections import FreshConnector, strict_session
from batchgen.providers.endpoint import Endpoint
from batchgen.providers.faults import FOREIGN, detail_of, fault_of, retold
from batchgen.providers.listed import Page, page_of
from batchgen.providers.masking import Mask
from batchgen.providers.packing import is_packed, unpack
from batchgen.providers.proxies import proxy_of
from batchgen.providers.settings import ProviderSettings
from batchgen.system.patience import fail_after
from batchgen.system.turns import Turn

ANSWER_S = 60.0
"""For one page: lists take a second or two."""

MOST_PAGES = 20
"""Of a catalogue; the known ones bring everything on one."""

_NOT_THERE = frozenset({404, 405, 410, 501})
_REFUSED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Answered:
    """What a provider answered: its models, whether those are all, and what a person should know about it."""

    models: Mapping[str, Listed]
    whole: bool
    notices: tuple[str, ...] = ()


class _NoListError(ListingError):
    """There is no list at an address; the text says what came instead."""


class _NotTheApiError(_NoListError):
    """Nor is the API."""


async def fetch_models(
    endpoint: Endpoint, settings: ProviderSettings, *, answer_s: float = ANSWER_S
) -> Answered:
    """Ask for the models that the key may use, and for the public prices where the dialect knows of some.

    Without a key only the public catalogue is read. Each answer must be there after `answer_s` seconds. Raises `ListingError` in plain words, which hold no key.
    """
    session = strict_session(FreshConnector(), accept="application/json")
    async with session:
        return await _Asking(session, endpoint, settings, answer_s).answered()


class _Asking:
    """One round of questions to one provider."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: Endpoint,
        settings: ProviderSettings,
        answer_s: float,
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._settings = settings
        self._mask = Mask(endpoint.key)
        self._proxy = proxy_of(endpoint.base_url) if endpoint.trust_env else None
        self._answer_s = answer_s
        self._notices: list[str] = []

    async def answered(self) -> Answered:
        served = await self._served()
        priced = await self._priced(needed=served is None)
        first = served or priced
        if first is None or not first.models:
            raise ListingError(
                f"{self._settings.name} lists no model at all; nothing was kept. Ask again later."
            )
        prices = priced.models if priced else {}
        models = {name: _with_price(listed, prices.get(name)) for name, listed in first.models.items()}
        return Answered(models, not first.cut, tuple(self._notices))

    async def _served(self) -> Page | None:
        """The models that the key may use; None where only the public catalogue can tell."""
        if not self._endpoint.key.reveal():
            names = " or ".join(self._settings.key_env)
            self._notices.append(f"{names} is not set, so this is the public list, not that of a key")
            return None
        dialect = self._endpoint.dialect
        url = URL(self._endpoint.base_url + path_of(dialect, dialect.models), encoded=True)
        key = {dialect.auth_header: dialect.auth_prefix + self._endpoint.key.reveal()}
        try:
            return await self._page(url, key)
        except _NotTheApiError:
            raise
        except _NoListError as error:
            if dialect.prices is None:
                raise
            self._notices.append(f"{error}; this is the public list instead")
            return None

    async def _priced(self, *, needed: bool) -> Page | None:
        """The public catalogue, all pages of it, asked for without the key; None where there is none."""
        dialect = self._endpoint.dialect
        if dialect.prices is None:
            return None
        root = str(URL(self._endpoint.base_url).origin())
        url = URL(root + path_of(dialect, dialect.prices), encoded=True)
        try:
            return await self._pages(url)
        except _NoListError as error:
            if needed:
                raise
            self._notices.append(f"{error}; without its prices, those of the models' makers are used")
            return None

    async def _pages(self, url: URL) -> Page:
        page = await self._page(url, {})
        models = dict(page.models)
        for _ in range(MOST_PAGES):
            if not page.page or not page.models or len(models) >= page.total:
                break
            known = len(models)
            page = await self._page(url.update_query(page=page.page + 1, page_size=page.page_size), {})
            models.update(page.models)
            if len(models) == known:  # a server that does not know pages repeats its first
                break
        return replace(page, models=models, cut=page.cut or (page.page > 0 and len(models) < page.total))

    async def _page(self, url: URL, headers: Mapping[str, str]) -> Page:
        """One answer as a list. Raises `ListingError`."""
        body = bytearray()
        try:
            with fail_after(self._answer_s):
                status, location = await self._get(url, headers, body)
        except BodyTooLargeError as error:
            raise self._error(url, f"brings more than {LARGE_BYTES:,} bytes, which no list has") from error
        except FOREIGN as error:
            words = fault_words(fault_of(error))
            told = f" ({detail})" if (detail := detail_of(error)) else ""
            raise self._error(url, f"cannot be read: {words}{told}") from retold(error, self._mask)
        document = json_of(body)
        self._check_status(url, status, location, document, public=not headers)
        page = page_of(document, self._mask)
        if page is None:
            what = "a web page" if body[:200].lstrip().startswith(b"<") else "something else"
            raise self._error(url, f"brings {what} instead of a list of models{_WRONG_URL}", _NotTheApiError)
        return page

    async def _get(self, url: URL, headers: Mapping[str, str], body: bytearray) -> tuple[int, str]:
        """Status and `Location` of an answer; what it brings goes into `body`."""
        async with self._session.get(
            url, headers=headers, allow_redirects=False, proxy=self._proxy
        ) as response:
            chunks = response.content.iter_chunked(CHUNK_BYTES)
            await collect(chunks, body, cap_bytes=LARGE_BYTES, large=Turn())
            if is_packed(response.headers.get("Content-Encoding", ""), body):
                unpacked = unpack(body, LARGE_BYTES)
                if unpacked.cut:
                    raise BodyTooLargeError
                body[:] = unpacked.body
            return response.status, response.headers.get("Location", "")

    def _check_status(self, url: URL, status: int, location: str, document: JsonValue, *, public: bool) -> None:
        if 200 <= status < 300:
            return
        error = error_of(document, self._mask)
        words = f"HTTP {status}: {error.message}" if error is not None and error.message else f"HTTP {status}"
        if 300 <= status < 400:
            raise self._error(url, f"redirects to {location or 'another place'}{_WRONG_URL}", _NotTheApiError)
        if status in _NOT_THERE or (public and status in _REFUSED):
            raise self._error(url, f"has no list ({words})", _NoListError)
        if status in _REFUSED:
            names = " or ".join(self._settings.key_env) or "the key"
            raise self._error(url, f"does not accept the key ({words}); check {names}")
        raise self._error(url, f"failed ({words}); ask again later")

    def _error(self, url: URL, words: str, kind: type[ListingError] = ListingError) -> ListingError:
        where = f"{self._settings.name}: {url.with_query(None)}"
        return kind(one_line(self._mask.text(f"{where} {words}")))


_WRONG_URL = " (is the base URL right? it usually ends in /v1)"


def _with_price(listed: Listed, priced: Listed | None) -> Listed:
    """A model of the key's list with what only the public catalogue says of it."""
    if priced is None:
        return listed
    return replace(
        listed,
        kind=listed.kind or priced.kind,
        owner=listed.owner or priced.owner,
        shutdown=listed.shutdown or priced.shutdown,
        price=listed.price or priced.price,
    )
