"""The heartbeat, over real HTTP and in a real file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.core.errors import UsageError
from batchgen.core.events import RunBroken, RunEnded
from batchgen.reports.heartbeat import Heartbeat, heartbeat_url, open_heartbeat
from batchgen.reports.settings import STALLED_S, HeartbeatSettings
from tests.reports.samples import started, stored_event
from tests.support.cli import Desk
from tests.support.hooks import SECRET, Hook, hook_server

pytest_plugins = ("tests.support.fixtures",)
SELDOM_S = 3600.0


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A service that watches."""
    with hook_server() as served:
        yield served


class Bench:
    """A heartbeat whose clock is moved by hand, and what it said."""

    def __init__(self, settings: HeartbeatSettings) -> None:
        self.said: list[str] = []
        self.now_s = 0.0
        self.heartbeat: Heartbeat = open_heartbeat(
            settings, {}, self.said.append, lambda: f"moment {self.now_s:g}", lambda: self.now_s
        )


@pytest.mark.anyio
async def test_it_beats_while_runs_get_on(hook: Hook, tmp_path: Path) -> None:
    """A sign at the start, at every interval and at the end, to the URL and the file; none while nothing happens."""
    file = tmp_path / "alive"
    bench = Bench(HeartbeatSettings(url=hook.alive, file=file, every_s=SELDOM_S))
    observer = bench.heartbeat.of_job()
    assert ("GET", "/SECRET", {}) == hook.next()

    observer(started(2))
    bench.now_s = STALLED_S - 1
    bench.heartbeat.beat()
    assert "moment 1199\n" == file.read_text()
    observer(stored_event())
    bench.now_s = 2 * STALLED_S
    bench.heartbeat.beat()
    assert "moment 1199\n" == file.read_text()
    observer(RunEnded({"stored": 1}))
    await bench.heartbeat.close()

    assert "moment 2400\n" == file.read_text()
    assert ["/SECRET", "/SECRET"] == [path for _, path, _ in hook.rest()]
    assert [] == bench.said
    assert ["alive"] == [found.name for found in tmp_path.iterdir()]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("last", "end"),
    [
        ("/SECRET?x=1", RunEnded({"stored": 1, "failed": 0, "stopped_by": None})),
        ("/SECRET/fail?x=1", RunEnded({"stored": 1, "failed": 1})),
        ("/SECRET/fail?x=1", RunEnded({"stored": 1, "stopped_by": "budget"})),
        ("/SECRET/fail?x=1", RunBroken("job", 2, "ProblemsError", "")),
    ],
)
async def test_suffixes(hook: Hook, last: str, end: RunEnded | RunBroken) -> None:
    """With `suffixes` the path ends in `/start` at first, and in `/fail` when not all went well."""
    bench = Bench(HeartbeatSettings(url=f"{hook.alive}/?x=1", every_s=SELDOM_S, suffixes=True))
    bench.heartbeat.of_job()(end)
    await bench.heartbeat.close()

    assert ["/SECRET/start?x=1", last] == [path.replace("SECRET/?", "SECRET?") for _, path, _ in hook.rest()]


@pytest.mark.anyio
async def test_a_ping_that_fails_is_told_once(hook: Hook, tmp_path: Path) -> None:
    """A refusal, a redirect, which is not followed, and a file that cannot be written are notes, without the URL."""
    hook.status, hook.location = 302, f"http://127.0.0.1:{hook.port}/elsewhere"
    folder = tmp_path / "folder"
    folder.mkdir()
    bench = Bench(HeartbeatSettings(url=hook.alive, file=folder / "alive", every_s=SELDOM_S))
    hook.next()
    (folder / "alive").unlink(missing_ok=True)
    (folder / "alive").mkdir()
    bench.heartbeat.beat()
    bench.heartbeat.beat()
    await bench.heartbeat.close()

    assert {"/SECRET"} == {path for _, path, _ in hook.rest()}
    assert [
        "the heartbeat's URL answered 302; the run goes on",
        "the heartbeat's file cannot be written (Is a directory); the run goes on",
    ] == bench.said


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("host", "why"),
    [("127.0.0.1:1", "Connection refused"), (f"{'a' * 64}.localhost", "its host cannot be one")],
)
async def test_nobody_listens(host: str, why: str) -> None:
    """A service that is gone is a note, too, and so is a host that cannot be one."""
    bench = Bench(HeartbeatSettings(url=f"http://{host}/{SECRET}", every_s=SELDOM_S))
    await bench.heartbeat.close()

    assert [f"the heartbeat's URL cannot be asked ({why}); the run goes on"] == bench.said


@pytest.mark.parametrize(
    "text", ["ftp://hush", "hush", "https://", "https://me:hush@h", "http://h:0/hush", "http://h/hu sh"]
)
def test_a_wrong_address_is_not_repeated(text: str) -> None:
    """What a variable holds is checked, and never shown."""
    settings = HeartbeatSettings(url_env="ALIVE")
    with pytest.raises(UsageError, match=r"^ALIVE: this is no web address") as caught:
        heartbeat_url(settings, {"ALIVE": text})
    assert "hush" not in str(caught.value)
    with pytest.raises(UsageError, match="names the variable ALIVE, which is not set"):
        heartbeat_url(settings, {})


def test_a_run_gives_signs(desk: Desk, hook: Hook) -> None:
    """From the configuration and the environment, through the command; the address is in no output and no file."""
    path = desk.folder / "batchgen.yaml"
    path.write_text("heartbeat: {url_env: ALIVE, file: alive, suffixes: true}\n")
    path.chmod(0o644)
    desk.environ["ALIVE"] = hook.alive
    desk.manifest([{"id": "boat", "prompt": "A boat."}])

    done = desk.do("run", "job.yaml", "--verbose")

    assert 0 == done.code
    assert ["/SECRET/start", "/SECRET"] == [path for _, path, _ in hook.rest()]
    assert (desk.folder / "alive").read_text().endswith("Z\n")
    assert SECRET not in done.out + done.err
    files = [found for found in desk.folder.rglob("*") if found.is_file()]
    assert [] == [found for found in files if SECRET.encode() in found.read_bytes()]
