"""Who is told of several runs of a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.config.values import Config
from batchgen.core.errors import UsageError
from batchgen.core.events import Event, Notice
from batchgen.job import Options
from batchgen.pool.stopping import Stop
from batchgen.reports.settings import HeartbeatSettings, Target
from batchgen.reports.textfile import read_textfile
from batchgen.run import run_watched
from batchgen.watching import Watchers
from tests.support.cli import Desk
from tests.support.hooks import Hook, hook_server

pytest_plugins = ("tests.support.fixtures",)
pytestmark = pytest.mark.anyio
BOATS = [{"id": "boat", "prompt": "A boat."}]


@pytest.fixture
def hook() -> Iterator[Hook]:
    """Where everything is told."""
    with hook_server() as served:
        yield served


async def test_one_set_for_all_jobs_of_a_night(desk: Desk, hook: Hook) -> None:
    """Opened once, jobs one after another and a broken one: each is told by its name, in one file, with one heartbeat."""
    config = Config(
        notify=(Target(url=hook.notify),),
        metrics=desk.folder / "night.prom",
        heartbeat=HeartbeatSettings(url=hook.alive, suffixes=True),
    )
    options = Options(config, desk.environ, output=desk.folder / "output")
    said: list[str] = []
    heard: list[Event] = []

    async with Watchers(options, said.append) as watchers:
        for name in ("one", "two"):
            path = desk.manifest(BOATS, name=f"{name}.yaml", job=name)
            await run_watched(path, options, watchers, Stop(), heard.append)
        with pytest.raises(UsageError):
            await run_watched(desk.folder / "gone.yaml", options, watchers, Stop(), heard.append)

    came = hook.rest()
    titles = [body["title"] for method, _, body in came if method == "POST"]
    assert ["one: finished", "two: finished", "gone: did not run"] == titles
    assert ["/SECRET/start", "/SECRET/fail"] == [path for method, path, _ in came if method == "GET"]
    assert {"one", "two", "gone"} == read_textfile(desk.folder / "night.prom").keys()
    assert "RunBroken" == type(heard[-1]).__name__
    assert [] == said


async def test_notes_do_not_break_into_a_live_line(desk: Desk) -> None:
    """While a screen is drawn, a note goes through it; before and afterwards to whoever opened the watchers."""
    config = Config(heartbeat=HeartbeatSettings(url="http://127.0.0.1:1/hush"))
    options = Options(config, desk.environ)
    shown: list[Event] = []
    said: list[str] = []

    watchers = Watchers(options, said.append)
    with watchers.notes_to(shown.append):
        async with watchers:
            pass
    assert [Notice("the heartbeat's URL cannot be asked (Connection refused); the run goes on")] == shown
    async with Watchers(options, said.append):
        pass
    assert ["the heartbeat's URL cannot be asked (Connection refused); the run goes on"] == said


async def test_what_was_opened_is_closed_when_the_next_cannot_be(desk: Desk, hook: Hook) -> None:
    """A wrong part of the configuration leaves nothing running."""
    config = Config(notify=(Target(url=hook.notify),), metrics=Path("/nowhere/at/all.prom"))
    with pytest.raises(UsageError, match="there is no folder /nowhere/at"):
        await Watchers(Options(config, desk.environ), print).__aenter__()
