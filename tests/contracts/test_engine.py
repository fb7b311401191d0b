"""What every `Engine` keeps, wherever attempts are performed."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from batchgen.core.protocols import Engine
from batchgen.core.types import Attempt, Failure, FailureClass, Link, Paid, Stored
from batchgen.core.values import replace
from batchgen.engines.ray import open_ray
from batchgen.providers.settings import BUILT_IN
from batchgen.workers import Recipe, open_worker
from tests.ledgers.samples import attempt, task
from tests.stores.images import ORIGIN, names, store_in
from tests.support.cluster import LOOPBACK
from tests.support.paid import Rule, Till, refuse

pytest_plugins = ("tests.support.fixtures",)
pytestmark = pytest.mark.anyio

KEY_ENV = "KEY_OF_THE_CONTRACT"
Opened = Callable[[Path], AbstractAsyncContextManager[Engine]]


def mine() -> Attempt:
    """An attempt that nobody made before."""
    return replace(attempt(task(parameters={"size": "1024x1024"})), attempt_id=str(uuid.uuid4()))


def recipe(till: Till, folder: Path) -> Recipe:
    """What opens an engine here or elsewhere, with the key of its environment."""
    (folder / "state" / "token.new").touch()
    settings = replace(BUILT_IN["cometapi"], base_url=till.base_url, base_url_env=None, key_env=(KEY_ENV,))
    return Recipe(settings, folder, ORIGIN, concurrency=4, pictures=folder, token="token.new")


@asynccontextmanager
async def in_this_process(till: Till, folder: Path) -> AsyncIterator[Engine]:
    """The engine local."""
    async with store_in(folder), open_worker(recipe(till, folder)) as engine:
        yield engine


@asynccontextmanager
async def on_a_cluster(till: Till, folder: Path) -> AsyncIterator[Engine]:
    """The engine ray, on a cluster of this machine."""
    async with (
        store_in(folder) as store,
        open_ray(partial(open_worker, recipe(till, folder)), store, None) as engine,
    ):
        yield engine


@pytest.fixture(scope="module")
def account(paid_port: int) -> Iterator[Till]:
    """One account: workers know its key from the environment that their cluster was begun in."""
    till = Till(paid_port, f"sk-canary-{uuid.uuid4().hex}")
    with pytest.MonkeyPatch.context() as environ:
        for name, value in {**LOOPBACK, KEY_ENV: till.key}.items():
            environ.setenv(name, value)
        yield till
        import ray

        ray.shutdown()


@pytest.fixture(params=[in_this_process, on_a_cluster], ids=["local", "ray"])
def opened(request: pytest.FixtureRequest, account: Till) -> Opened:
    """Opens an engine over a folder."""
    account.script()
    return partial(request.param, account)


async def test_one_call_is_one_request(opened: Opened, account: Till, tmp_path: Path) -> None:
    """It goes out under the attempt's id; the image is stored whole, and found again by whoever asks."""
    one, before = mine(), len(account.requests)
    async with opened(tmp_path) as engine:
        await engine.reserve(one)
        stored = await engine.perform(one)
        assert isinstance(stored, Stored)
        assert stored == await engine.adopt(one)
    assert [one.attempt_id] == [asked["headers"]["x-client-request-id"] for asked in account.requests[before:]]
    assert (tmp_path / stored.image.file).read_bytes() in account.images.values()


async def test_what_was_never_sent_is_not_found(opened: Opened, tmp_path: Path) -> None:
    """Room alone is no image."""
    one = mine()
    async with opened(tmp_path) as engine:
        await engine.reserve(one)
        assert await engine.adopt(one) is None


async def test_a_link_is_handed_back_and_fetched_on_request(
    opened: Opened, account: Till, tmp_path: Path
) -> None:
    """Nothing of it is stored before it can be noted; fetching asks for no other image."""
    account.script(Rule(do="url"))
    one, before = mine(), len(account.requests)
    async with opened(tmp_path) as engine:
        await engine.reserve(one)
        link = await engine.perform(one)
        assert isinstance(link, Link)
        assert not (tmp_path / "images" / "boat--01.png").exists()
        assert isinstance(await engine.fetch(one, link), Stored)
    assert before + 1 == len(account.requests)


async def test_a_refusal_is_a_value_and_gives_its_room_back(
    opened: Opened, account: Till, tmp_path: Path
) -> None:
    """No error is raised, nothing is left, and the reason is the provider's."""
    account.script(refuse(""))
    one = mine()
    async with opened(tmp_path) as engine:
        await engine.reserve(one)
        failure = await engine.perform(one)
    assert isinstance(failure, Failure)
    assert (FailureClass.REFUSED, Paid.NO, 400) == (failure.failure_class, failure.paid, failure.http_status)
    assert ["state/token.new"] == names(tmp_path)


async def test_who_waits_no_longer_is_let_go(opened: Opened, account: Till, tmp_path: Path) -> None:
    """A cancelled call ends at once, though the provider never answers, and others are served on."""
    account.script(Rule("paper", "never", times=1))
    one, other, before = mine(), mine(), len(account.requests)
    async with opened(tmp_path) as engine:
        await engine.reserve(one)
        async with anyio.create_task_group() as group:
            group.start_soon(engine.perform, one)
            while len(account.requests) == before:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        await engine.reserve(other)
        assert isinstance(await engine.perform(other), Stored)
