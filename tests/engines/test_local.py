"""Attempts performed in this process: the real client, the real store, over real HTTP."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from batchgen.core.types import Answer, Failure, FailureClass, Link, Paid, Price, PriceKind, Stored, TokenRates
from batchgen.engines.local import LocalEngine
from batchgen.plugins import ENGINES
from batchgen.providers.downloads import DownloadPolicy
from batchgen.providers.endpoint import Endpoint, resolve
from batchgen.providers.http import open_provider
from batchgen.providers.settings import BUILT_IN, SANDBOX
from batchgen.sandbox.faults import AnswerAs, Behaviour
from batchgen.sandbox.server import serve
from batchgen.sandbox.service import Sandbox
from batchgen.system.clock import moment_of
from tests.ledgers.samples import attempt, task
from tests.providers.servers import answering, endpoint_of, serving
from tests.stores.images import ORIGIN, files, names, picture, sidecar, store_in

pytestmark = pytest.mark.anyio

SMALL = task(model="dall-e-2", parameters={"size": "256x256"})
PRICE = Price(PriceKind.EXACT, 0.006, 0.008, 0.006, TokenRates(5, 8, 30))
HASTY = DownloadPolicy(tries=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The job's folder."""
    return tmp_path / "spring"


@asynccontextmanager
async def engine_at(endpoint: Endpoint, folder: Path) -> AsyncIterator[LocalEngine]:
    """The engine over a provider at an address."""
    async with store_in(folder) as store, open_provider(endpoint, concurrency=2, downloads=HASTY) as provider:
        yield LocalEngine(provider, store)


@asynccontextmanager
async def at_the_sandbox(folder: Path, behaviour: Behaviour) -> AsyncIterator[tuple[LocalEngine, Sandbox]]:
    """The engine over the embedded provider."""
    async with (
        serve(behaviour) as sandbox,
        engine_at(resolve(BUILT_IN[SANDBOX], {}, base_url=sandbox.base_url), folder) as engine,
    ):
        yield engine, sandbox


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def at_a_server(folder: Path, answer: Handler) -> AsyncIterator[LocalEngine]:
    """The engine over a provider that answers as it is told."""
    async with serving(answer) as api, engine_at(endpoint_of(api.base_url), folder) as engine:
        yield engine


async def test_an_image_goes_from_the_answer_to_its_place(folder: Path) -> None:
    """One request under the attempt's id; the image is stored and costs what its usage says."""
    mine = attempt(task(price=PRICE, parameters={"size": "1024x1024", "quality": "low"}))
    async with at_the_sandbox(folder, Behaviour()) as (engine, sandbox):
        await engine.reserve(mine)
        stored = await engine.perform(mine)
        assert isinstance(stored, Stored)
        assert {mine.attempt_id: 1} == dict(sandbox.attempts)
        assert stored == await engine.adopt(mine)
    assert (1024, 1024) == (stored.image.media.width, stored.image.media.height)
    assert ["images/boat--01.json", "images/boat--01.png"] == names(folder)
    assert stored.answer.usage is not None
    assert stored.image.cost_usd == sidecar(folder, "images/boat--01.json")["cost_usd"]
    assert 0.005 < (stored.image.cost_usd or 0.0) < 0.007
    assert ORIGIN.host == sidecar(folder, "images/boat--01.json")["host"]


async def test_a_link_is_handed_back_and_fetched_on_request(folder: Path) -> None:
    """`perform` stores nothing of a link, so that it can be noted first; `fetch` brings the image."""
    mine = attempt(SMALL)
    async with at_the_sandbox(folder, Behaviour(answer=AnswerAs.URL)) as (engine, sandbox):
        await engine.reserve(mine)
        link = await engine.perform(mine)
        assert isinstance(link, Link)
        assert 0 == sandbox.downloads
        stored = await engine.fetch(mine, link)
        assert isinstance(stored, Stored)
        assert (1, 1) == (sandbox.billed, sandbox.downloads)
    text = (folder / "images/boat--01.json").read_text()
    assert link.url not in text


async def test_a_refusal_gives_its_room_back(folder: Path) -> None:
    """A definite failure leaves nothing on the disk."""
    mine = attempt(task(prompt="A forbidden boat."))
    async with at_the_sandbox(folder, Behaviour(refuse_word="forbidden")) as (engine, _):
        await engine.reserve(mine)
        failure = await engine.perform(mine)
    assert isinstance(failure, Failure)
    assert (FailureClass.REFUSED, Paid.NO) == (failure.failure_class, failure.paid)
    assert [] == names(folder)


async def test_a_link_that_cannot_be_reached_now_is_transient(folder: Path) -> None:
    """The download's trouble is no verdict on the link: the room stays, and it can be fetched later."""
    mine = attempt(task())
    statuses = iter([503, 200])

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(body=picture("one"), status=next(statuses))
        return web.json_response({"created": 1, "data": [{"url": str(request.url.with_path("/1.png"))}]})

    async with at_a_server(folder, answer) as engine:
        await engine.reserve(mine)
        link = await engine.perform(mine)
        assert isinstance(link, Link)
        failure = await engine.fetch(mine, link)
        assert isinstance(failure, Failure)
        assert FailureClass.TRANSIENT == failure.failure_class
        assert [f"state/{mine.attempt_id}.json", f"state/{mine.attempt_id}.part"] == names(folder)
        assert isinstance(await engine.fetch(mine, link), Stored)


async def test_a_link_that_is_dead_is_a_failed_download(folder: Path) -> None:
    """An expired link is final; its room is given back."""
    mine, now = attempt(SMALL), [1_000.0]
    async with (
        serve(Behaviour(answer=AnswerAs.URL, link_lifetime_s=60.0), clock=lambda: now[0]) as sandbox,
        engine_at(resolve(BUILT_IN[SANDBOX], {}, base_url=sandbox.base_url), folder) as engine,
    ):
        await engine.reserve(mine)
        link = await engine.perform(mine)
        assert isinstance(link, Link)
        now[0] += 61.0
        failure = await engine.fetch(mine, link)
    assert isinstance(failure, Failure)
    assert (FailureClass.DOWNLOAD, Paid.YES) == (failure.failure_class, failure.paid)
    assert [] == names(folder)


@pytest.mark.parametrize(
    "junk", [b"<html>not yet</html>", b"", picture("one")[:-20]], ids=["page", "empty", "cut"]
)
@pytest.mark.parametrize("mends", [True, False])
async def test_a_link_to_no_image_is_fetched_once_more(folder: Path, junk: bytes, mends: bool) -> None:
    """Then it is `no_image` with the bytes kept, and not tried for ever; an image at the second look is stored."""
    mine = attempt(task())
    bodies = iter([junk, picture("one") if mends else junk])

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(body=next(bodies))
        return web.json_response({"created": 1, "data": [{"url": str(request.url.with_path("/1.png"))}]})

    async with at_a_server(folder, answer) as engine:
        await engine.reserve(mine)
        link = await engine.perform(mine)
        assert isinstance(link, Link)
        outcome = await engine.fetch(mine, link)

    assert [] == list(bodies)
    assert junk == files(folder)[f"state/quarantine/{mine.attempt_id}.bin"]
    if mends:
        assert isinstance(outcome, Stored)
        assert picture("one") == files(folder)[outcome.image.file]
    else:
        assert isinstance(outcome, Failure)
        assert (FailureClass.NO_IMAGE, Paid.YES) == (outcome.failure_class, outcome.paid)


async def test_a_dead_link_is_told_with_its_age(folder: Path) -> None:
    """An old one has expired, a young one never worked."""
    mine = attempt(task())
    link = Link("https://10.0.0.1/1.png", Answer(200), None)
    asked = moment_of(mine.started)
    async with (
        store_in(folder) as store,
        open_provider(endpoint_of("https://api.example.com/v1"), concurrency=1, downloads=HASTY) as provider,
    ):
        failure = await LocalEngine(provider, store, lambda: asked + timedelta(minutes=95)).fetch(mine, link)

    assert isinstance(failure, Failure)
    assert failure.reason.endswith("; it was asked for 95 minutes ago")


async def test_an_answer_without_an_image_is_evidence(folder: Path) -> None:
    """Paid for, but no JSON: the bytes are kept for a refund claim."""
    mine = attempt(task())
    async with at_a_server(folder, answering(b"<html>thank you</html>")) as engine:
        await engine.reserve(mine)
        failure = await engine.perform(mine)
    assert isinstance(failure, Failure)
    assert (FailureClass.NO_IMAGE, Paid.YES) == (failure.failure_class, failure.paid)
    assert {f"state/quarantine/{mine.attempt_id}.bin": b"<html>thank you</html>"} == files(folder)


@pytest.mark.parametrize(
    "junk", [b"<html>sorry</html>", picture("one")[:-20]], ids=["a web page", "a cut image"]
)
async def test_an_image_that_is_none_is_evidence(folder: Path, junk: bytes) -> None:
    """A well-formed answer whose image is no whole image: class `no_image`, with the words of what it is."""
    mine = attempt(task())
    body = {"created": 1, "data": [{"b64_json": base64.b64encode(junk).decode()}]}
    async with at_a_server(folder, answering(body)) as engine:
        await engine.reserve(mine)
        failure = await engine.perform(mine)
    assert isinstance(failure, Failure)
    assert (FailureClass.NO_IMAGE, Paid.YES, 200) == (failure.failure_class, failure.paid, failure.http_status)
    assert failure.reason.startswith("the answer is no usable image: ")
    assert {f"state/quarantine/{mine.attempt_id}.bin": base64.b64encode(junk)} == files(folder)


async def test_two_images_of_one_answer_are_both_kept(folder: Path) -> None:
    """The first is the task's, the second lies in `superseded/`."""
    mine = attempt(task())
    encoded = [base64.b64encode(picture(words)).decode() for words in ("one", "two")]
    body = {"created": 1, "data": [{"b64_json": one} for one in encoded]}
    async with at_a_server(folder, answering(body)) as engine:
        await engine.reserve(mine)
        assert isinstance(await engine.perform(mine), Stored)
    kept = files(folder)
    assert picture("one") == kept["images/boat--01.png"]
    assert picture("two") == kept[f"superseded/boat--01.{mine.task.fingerprint[:8]}.png"]


def test_engines_have_names() -> None:
    """What an operator may write as `engine`."""
    assert ["local", "ray"] == sorted(ENGINES)
