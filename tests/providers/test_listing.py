"""Asking a provider for its models, keeping what it said, and every way in which that goes wrong."""

from __future__ import annotations

import gzip
import json
import stat
import traceback
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path

import pytest
from aiohttp import web

from batchgen.catalogue.dialects import DIALECTS, Dialect
from batchgen.catalogue.listing import Listed, ListedPrice, Listing
from batchgen.core.errors import ListingError, StorageError
from batchgen.core.types import JsonValue
from batchgen.providers.endpoint import resolve
from batchgen.providers.kept import keep, kept_path, read_kept
from batchgen.providers.listed import page_of, price_of
from batchgen.providers.listing import Answered, fetch_models
from batchgen.providers.masking import Mask
from batchgen.providers.settings import ProviderSettings
from batchgen.sandbox.faults import Behaviour
from batchgen.sandbox.server import serve
from tests.providers.servers import KEY, Ending, answering, endpoint_of, free_port, raw_serving, serving

pytestmark = pytest.mark.anyio

COMET = DIALECTS["cometapi"]
MODELS = {
    "object": "list",
    "data": [
        {"id": "gpt-image-2", "object": "model", "created": 1, "owned_by": "openai", "shutdown_date": None},
        {"id": "gpt-image-1.5", "object": "model", "owned_by": "openai", "shutdown_date": "2026-12-01"},
    ],
}
IMAGE_2 = {
    "id": "gpt-image-2",
    "provider": "OpenAI",
    "model_type": "image",
    "features": ["text-to-image"],
    "pricing": {
        "currency": "USD / M Tokens",
        "input": 4,
        "output": 24,
        "per_request": None,
        "per_second": None,
    },
    "api_doc_url": "https://docs.example.com/images",
}
PRICES = {"success": True, "page": 0, "page_size": 0, "total": 1, "data": [IMAGE_2]}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def by_path(**answers: Handler) -> Handler:
    """Answer `/v1/models` with `models` and `/api/models` with `prices`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await answers["prices" if request.path == "/api/models" else "models"](request)

    return answer


async def ask(
    base_url: str, dialect: Dialect = DIALECTS["openai"], key: str | None = KEY, answer_s: float = 20.0
) -> Answered:
    """Ask a provider of this dialect, without a key for None."""
    settings = ProviderSettings("gateway", base_url, ("GATEWAY_KEY",), dialect=dialect)
    environ = {} if key is None else {"GATEWAY_KEY": key}
    return await fetch_models(resolve(settings, environ, keyless=True), settings, answer_s=answer_s)


async def test_the_key_s_list_and_the_public_prices_are_put_together() -> None:
    """The list is asked for with the key, the catalogue at the host's root without it."""
    async with serving(by_path(models=answering(MODELS), prices=answering(PRICES))) as api:
        answered = await ask(api.base_url, COMET)

    price = ListedPrice(input_usd=4.0, output_usd=24.0)
    assert {
        "gpt-image-2": Listed("gpt-image-2", "openai", "image", None, price),
        "gpt-image-1.5": Listed("gpt-image-1.5", "openai", "", date(2026, 12, 1)),
    } == answered.models
    assert (True, ()) == (answered.whole, answered.notices)
    first, second = api.requests
    assert ("/v1/models", f"Bearer {KEY}") == (first.path, first.headers["Authorization"])
    assert ("/api/models", False) == (second.path, "Authorization" in second.headers)
    assert KEY not in str(second.headers)


async def test_a_dialect_s_own_header_path_and_query_are_used() -> None:
    """As for images: another header, without `Bearer`, another path, a query behind it."""
    dialect = Dialect(models="/list", query={"api-version": "1"}, auth_header="api-key", auth_prefix="")
    async with serving(answering(MODELS)) as api:
        await ask(api.base_url, dialect)

    (request,) = api.requests
    assert ("/v1/list", "api-version=1", KEY) == (
        request.path,
        request.query_string,
        request.headers["api-key"],
    )


async def test_without_a_key_the_public_catalogue_is_read() -> None:
    """And it is said that this is not the list of a key."""
    async with serving(by_path(prices=answering(PRICES))) as api:
        answered = await ask(api.base_url, COMET, key=None)

    assert ["gpt-image-2"] == list(answered.models)
    assert "GATEWAY_KEY is not set" in answered.notices[0]


async def test_the_sandbox_is_asked_like_any_other() -> None:
    """Its list has the dates of the catalogue."""
    async with serve(Behaviour()) as sandbox:
        endpoint = endpoint_of(sandbox.base_url)
        answered = await fetch_models(endpoint, ProviderSettings("sandbox", sandbox.base_url, ()))

    assert date(2026, 12, 1) == answered.models["gpt-image-1.5"].shutdown


async def test_all_pages_are_read() -> None:
    """Page by page until the total is there, of the size that the provider chose."""

    async def page(request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("page", "1"))
        data = [{"id": f"flux-{number}-{each}"} for each in range(2 if number < 3 else 1)]
        return web.json_response({"page": number, "page_size": 2, "total": 5, "data": data})

    async with serving(page) as api:
        answered = await ask(api.base_url, COMET, key=None)

    assert 5 == len(answered.models)
    assert answered.whole
    assert ["", "page=2&page_size=2", "page=3&page_size=2"] == [each.query_string for each in api.requests]


async def test_pages_without_end_come_to_one() -> None:
    """A server that repeats its page is asked twice, one that makes up pages twenty-one times; the list is not whole."""

    async def endless(request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("page", "1"))
        return web.json_response({"page": number, "total": 9999, "data": [{"id": f"flux-{number}"}]})

    async with serving(answering({"page": 1, "total": 500, "data": [{"id": "flux"}]})) as same:
        repeated = await ask(same.base_url, COMET, key=None)
    async with serving(endless) as made_up:
        found = await ask(made_up.base_url, COMET, key=None)

    assert (2, False) == (len(same.requests), repeated.whole)
    assert (21, 21, False) == (len(made_up.requests), len(found.models), found.whole)


NOT_THERE = answering({"error": {"message": "no such address"}}, status=404)
PAGE = answering(b"<!DOCTYPE html><html>Welcome</html>", headers={"Content-Type": "text/html"})
MOVED = answering(b"", status=301, headers={"Location": "https://www.example.com/?token=hidden"})


@pytest.mark.parametrize("prices", [NOT_THERE, PAGE, MOVED, answering({}, status=403)])
async def test_a_provider_without_prices_still_has_a_list(prices: Handler) -> None:
    """Whatever is at the catalogue's place instead, it is said, and the list is taken."""
    async with serving(by_path(models=answering(MODELS), prices=prices)) as api:
        answered = await ask(api.base_url, COMET)

    assert ["gpt-image-2", "gpt-image-1.5"] == list(answered.models)
    assert "the models' makers are used" in answered.notices[0]


async def test_a_provider_without_a_list_may_have_a_catalogue() -> None:
    """A 404 for the list leaves the public one."""
    async with serving(by_path(models=NOT_THERE, prices=answering(PRICES))) as api:
        answered = await ask(api.base_url, COMET)

    assert ["gpt-image-2"] == list(answered.models)
    assert "has no list (HTTP 404: no such address); this is the public list instead" in answered.notices[0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (NOT_THERE, "/v1/models has no list (HTTP 404: no such address)"),
        (PAGE, "brings a web page instead of a list of models (is the base URL right? it usually ends in /v1)"),
        (MOVED, "redirects to https://www.example.com/?*** (is the base URL right?"),
        (answering(b"nothing"), "brings something else instead of a list of models"),
        (answering({"data": "none"}), "brings something else instead of a list of models"),
        (answering({"success": False, "data": []}), "brings something else instead"),
        (answering({"data": []}), "lists no model at all"),
        (
            answering({"error": {"message": f"bad key {KEY}"}}, status=401),
            "does not accept the key (HTTP 401: bad key ***); check GATEWAY_KEY",
        ),
        (answering(b"\x1b[31moops", status=503), "failed (HTTP 503); ask again later"),
        (answering(b"[" * 4_000_000), "brings more than 3,145,728 bytes, which no list has"),
        (
            answering(b"x", headers={"Content-Encoding": "gzip"}),
            "brings something else instead of a list of models",
        ),
    ],
)
async def test_what_goes_wrong_is_said_in_words(answer: Handler, words: str) -> None:
    """One line with the address and what to do, never the key; no redirect is followed."""
    async with serving(answer) as api:
        with pytest.raises(ListingError) as caught:
            await ask(api.base_url)

    assert words in str(caught.value)
    assert str(caught.value).startswith("gateway")
    assert str(caught.value).isprintable()
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert 1 == len(api.requests)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{", "the answer was cut short"),
        (b"", "the connection was lost"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "the answer was not HTTP that can be read"),
    ],
)
async def test_a_broken_connection_is_said_in_words(reply: bytes, words: str) -> None:
    """As for images, but nothing was bought."""
    async with raw_serving(reply, Ending.CLOSE) as raw:
        with pytest.raises(ListingError, match=words):
            await ask(raw.base_url)
    with pytest.raises(ListingError, match="no connection to the provider"):
        await ask(f"http://127.0.0.1:{free_port()}/v1")


async def test_a_list_that_never_comes_is_given_up() -> None:
    """After its time, in words."""
    async with raw_serving(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", Ending.HANG) as raw:
        with pytest.raises(ListingError, match="no whole answer before the deadline"):
            await ask(raw.base_url, answer_s=0.01)


async def test_a_compressed_list_is_read() -> None:
    """Some servers compress what was asked for as it is."""
    packed = gzip.compress(json.dumps(MODELS).encode())
    async with serving(answering(packed, headers={"Content-Encoding": "gzip"})) as api:
        assert 2 == len((await ask(api.base_url)).models)


MASK = Mask(endpoint_of("https://a.example.com").key)


@pytest.mark.parametrize(
    "item",
    [
        None,
        "gpt-image-2",
        {},
        {"id": 7},
        {"id": ""},
        {"id": "two words"},
        {"id": "a" * 201},
        {"id": "red\x1b[31m"},
        {"id": f"x-{KEY}"},
        {"id": "soon", "upcoming": True},
    ],
)
def test_what_is_no_model_is_left_out(item: JsonValue) -> None:
    """A broken entry takes nothing away from the others."""
    page = page_of({"data": [item, {"id": "flux"}]}, MASK)

    assert page is not None
    assert {"flux": Listed("flux")} == page.models


def test_odd_fields_are_left_out() -> None:
    """Wrong types, impossible dates and hostile words do no harm; a feature says what a model makes."""
    odd: dict[str, JsonValue] = {
        "id": "flux",
        "owned_by": f"\x1b]0;me\x07{KEY}",
        "model_type": ["image"],
        "shutdown_date": "2026-13-01",
        "pricing": "free",
        "features": ["text-to-image", 7],
    }
    page = page_of([odd, {"id": "x", "shutdown_date": "2026-12-01T00:00:00Z"}], MASK)

    assert page is not None
    assert {
        "flux": Listed("flux", "***", "image"),
        "x": Listed("x", shutdown=date(2026, 12, 1)),
    } == page.models


@pytest.mark.parametrize(
    ("told", "price"),
    [
        ({"currency": "USD / M Tokens", "input": 4, "output": 24}, ListedPrice(4.0, 24.0)),
        ({"currency": "usd", "per_request": "0.04", "input": 0}, ListedPrice(each_usd=0.04)),
        ({"input": 4, "output": 24, "ratio": 0.8}, ListedPrice(4.0, 24.0)),
        ({"input": 4, "output": 24, "ratio": 1.5}, ListedPrice(6.0, 36.0)),
        ({"currency": "USD / K Tokens", "input": 4, "per_request": 0.1}, ListedPrice(each_usd=0.1)),
        ({"currency": "CNY / M Tokens", "input": 4, "output": 24}, None),
        ({"currency": 7, "input": 0, "output": -1, "per_request": None}, None),
        ({"input": True, "output": 1e400, "per_request": "nan"}, None),
        ({"input": 10**400, "output": "9" * 99, "per_request": []}, None),
        ([], None),
    ],
)
def test_prices_are_read_carefully(told: JsonValue, price: ListedPrice | None) -> None:
    """Dollars and known units only; nothing that is 0, no number, or too large; a ratio never makes a price lower."""
    assert price == price_of(told)


LISTING = Listing(
    "cometapi",
    "api.example.com",
    "2026-11-23T17:50:17.123Z",
    {
        "gpt-image-2": Listed(
            "gpt-image-2", "OpenAI", "image", date(2027, 1, 31), ListedPrice(4.0, 24.0, 0.04)
        ),
        "flux": Listed("flux"),
    },
    whole=False,
)


def test_a_list_is_kept_as_it_is(tmp_path: Path) -> None:
    """What is kept is read again, for others too; a newer list takes its place."""
    keep(tmp_path / "output", LISTING)
    path = kept_path(tmp_path / "output", "cometapi")

    assert LISTING == read_kept(tmp_path / "output", "cometapi")
    assert 0o644 == stat.S_IMODE(path.stat().st_mode)
    assert 1 == json.loads(path.read_text())["version"]
    keep(tmp_path / "output", Listing("cometapi", "b.example.com", LISTING.read, {}))
    newer = read_kept(tmp_path / "output", "cometapi")
    assert newer is not None
    assert "b.example.com" == newer.host
    assert [path] == list(path.parent.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "[" * 100_000,
        '{"version": 2, "provider": "p", "host": "h", "read": "2026-11-23T17:50:17.123Z", "data": []}',
        '{"version": 1, "provider": "p", "host": "h", "read": "yesterday", "data": []}',
        '{"version": 1, "provider": "p", "host": 7, "read": "2026-11-23T17:50:17.123Z", "data": []}',
        '{"version": 1, "provider": "p", "host": "h", "read": "2026-11-23T17:50:17.123Z", "data": {}}',
    ],
)
def test_a_kept_list_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    """It only advises: a broken, foreign or newer one is as good as none."""
    path = kept_path(tmp_path, "cometapi")
    path.parent.mkdir()
    path.write_text(text)

    assert read_kept(tmp_path, "cometapi") is None
    path.unlink()
    path.mkdir()
    assert read_kept(tmp_path, "cometapi") is None


def test_a_list_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    """With the place and the reason."""
    (tmp_path / ".models").write_text("in the way")

    with pytest.raises(StorageError, match=r"cometapi.json: the list cannot be kept"):
        keep(tmp_path, LISTING)
