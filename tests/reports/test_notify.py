"""Notifications over real HTTP, to apprise's `json://` service on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

import pytest

from batchgen.core.errors import UsageError
from batchgen.core.events import RunEnded
from batchgen.reports.notify import Notifier, open_notifier, targets_of
from batchgen.reports.settings import Kind, Target
from tests.reports.samples import started, stored_event
from tests.support.cli import Desk, ended, together
from tests.support.hooks import SECRET, Hook, hook_server
from tests.support.paid import Rule, refuse

pytest_plugins = ("tests.support.fixtures",)
BOATS = [{"id": "boat", "prompt": "A boat called Confidential.", "images": 2}]


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A service that is told."""
    with hook_server() as served:
        yield served


def configure(desk: Desk, text: str) -> None:
    """The operator's configuration."""
    path = desk.folder / "batchgen.yaml"
    path.write_text(text)
    path.chmod(0o644)


def test_each_run_is_told_once(desk: Desk, hook: Hook) -> None:
    """A run's end is told to whom it concerns, without a prompt; the address stays where it was written."""
    desk.environ["OPS"] = hook.notify
    finished, failed, broken = (desk.beside(name) for name in ("finished", "failed", "broken"))
    failed.till.script(refuse("boat"))
    finished.manifest(BOATS, job="fine")
    failed.manifest(BOATS, job="bad")
    broken.manifest([{"id": "a b"}], name="wrong.yaml")
    for one in (finished, failed, broken):
        one.environ["OPS"] = hook.notify
        configure(one, "notify: [{url_env: OPS, on: [finished, failed, stopped]}]\n")

    commands = ((finished, "job.yaml", 0), (failed, "job.yaml", 1), (broken, "wrong.yaml", 2))
    together(partial(_run, *command) for command in commands)
    told = {body["title"]: body["message"] for _, _, body in hook.rest()}

    assert {"fine: finished", "bad: finished with failures", "job: did not run"} == told.keys()
    assert "2 of 2 images are there (2 stored)" in told["fine: finished"]
    assert f"Report: {finished.folder / 'output' / 'fine' / 'index.html'}" in told["fine: finished"]
    assert "2 refused: Reword the prompt" in told["bad: finished with failures"]
    assert "Confidential" not in str(told)
    _secret_is_nowhere(desk)


def _run(desk: Desk, manifest: str, code: int) -> None:
    done = desk.do("run", manifest)
    assert code == done.code, done.err
    assert SECRET not in done.out + done.err


def _secret_is_nowhere(desk: Desk) -> None:
    files = [path for path in desk.folder.rglob("*") if path.is_file()]
    assert [] == [path for path in files if SECRET.encode() in path.read_bytes()]


def test_a_run_that_stalls_is_told_while_it_stalls(desk: Desk, hook: Hook) -> None:
    """With `stalled_after` passed and work left, it is told once; then the run goes on as if nothing had been."""
    desk.environ["BATCHGEN_NOTIFY_URLS"] = f"\n{hook.notify} "  # everything, with the usual 20 minutes
    desk.environ["PAGER"] = hook.notify
    configure(desk, "notify: [{url_env: PAGER, on: [stalled], stalled_after: 1s}]\n")
    desk.manifest(BOATS)
    desk.till.script(Rule(do="hold", times=2))

    with ended(desk.start("run", "job.yaml")) as running:
        _, path, body = hook.next()
        desk.till.script()
        done = running.done()

    assert ("/SECRET", "job: stalled") == (path, body["title"])
    assert "0 of 2 images are stored" in body["message"]
    assert 0 == done.code
    assert ["job: finished"] == hook.titles()


def test_a_failed_notification_is_a_note(desk: Desk, hook: Hook) -> None:
    """A service that is gone, refuses or sends elsewhere changes neither result nor exit code, and is told by its scheme."""
    gone, refuses, moved = (desk.beside(name) for name in ("gone", "refuses", "moved"))
    urls = {
        gone.folder: f"json://127.0.0.1:1/{SECRET}",
        refuses.folder: hook.notify,
        moved.folder: hook.notify,
    }
    hook.status, hook.location = 302, f"http://127.0.0.1:{hook.port}/elsewhere"

    def check(one: Desk) -> None:
        one.environ["BATCHGEN_NOTIFY_URLS"] = urls[one.folder]
        one.manifest(BOATS)
        done = one.do("run", "job.yaml", "--quiet")
        assert (0, "note: a notification by json could not be sent; the run goes on\n") == (done.code, done.err)

    together(partial(check, one) for one in (gone, refuses, moved))
    assert {"/SECRET"} == {path for _, path, _ in hook.rest()}
    _secret_is_nowhere(desk)


def test_what_cannot_work_is_said_before_anything_is_sent(desk: Desk) -> None:
    """A variable that is not set, an address that is none, apprise not installed: exit 2, in words, without the address."""
    cases: tuple[tuple[str, str, dict[str, str], str], ...] = (
        ("unset", "notify: [{url_env: OPS}]", {}, "`notify` names the variable OPS, which is not set"),
        ("wrong", "notify: [{url_env: OPS}]", {"OPS": SECRET}, "OPS: this is no address for notifications"),
        ("unknown", "notify: [{url_env: OPS}]", {"OPS": f"nope://{SECRET}"}, "OPS: this is no address"),
        ("env", "", {"BATCHGEN_NOTIFY_URLS": f"nope://{SECRET}"}, "BATCHGEN_NOTIFY_URLS: this is no address"),
        ("missing", "notify: [{url_env: OPS}]", {"OPS": "json://h"}, "-m pip install apprise)"),
    )

    def check(name: str, text: str, environ: dict[str, str], expected: str) -> None:
        one = desk.beside(name)
        one.environ |= environ
        configure(one, text)
        one.manifest(BOATS)
        if name == "missing":
            (one.folder / "apprise.py").write_text("raise ImportError('not installed')")
        done = one.do("run", "job.yaml")
        assert (2, True) == (done.code, expected in done.err), done.err
        assert SECRET not in done.out + done.err
        assert [] == one.till.requests

    together(partial(check, *case) for case in cases)


def test_the_environments_targets_come_behind_the_configurations() -> None:
    """`BATCHGEN_NOTIFY_URLS` holds addresses with blanks between them, told everything; neither shows its address."""
    mine = Target(url_env="OPS", on=frozenset({Kind.FAILED}))

    found = targets_of([mine], {"BATCHGEN_NOTIFY_URLS": f" json://a/{SECRET}\njson://b  "})

    assert [
        mine,
        Target(f"json://a/{SECRET}", "BATCHGEN_NOTIFY_URLS"),
        Target("json://b", "BATCHGEN_NOTIFY_URLS"),
    ] == found
    assert SECRET not in repr(found)
    assert [mine] == targets_of([mine], {})


@pytest.mark.anyio
async def test_each_target_hears_what_it_wants(hook: Hook) -> None:
    """`on` chooses the kinds; a stall is told to each target after its own time, once a run."""
    now = [0.0]
    notifier = await _opened(
        [
            Target(url=f"{hook.notify}/ends", on=frozenset({Kind.FINISHED})),
            Target(url=f"{hook.notify}/early", on=frozenset({Kind.STALLED}), stalled_after_s=60),
            Target(url=f"{hook.notify}/late", on=frozenset({Kind.STALLED}), stalled_after_s=600),
        ],
        now,
    )
    first, second = notifier.of_job(), notifier.of_job()

    first(started(2))
    second(started(1))
    now[0] = 90.0
    second(stored_event())
    notifier.look()
    notifier.look()
    now[0] = 700.0
    notifier.look()
    for observer in (first, second):
        observer(RunEnded({"job": "spring", "tasks": 1, "stored": 1, "stopped_by": None}))
    now[0] = 9000.0
    notifier.look()
    await notifier.close()

    told = sorted((path.rpartition("/")[2], body["title"]) for _, path, body in hook.rest())
    assert [
        ("early", "spring: stalled"),
        ("ends", "spring: finished"),
        ("ends", "spring: finished"),
        ("late", "spring: stalled"),
    ] == told


async def _opened(targets: list[Target], now: list[float]) -> Notifier:
    said: list[str] = []
    return await open_notifier(targets, {}, said.append, lambda: now[0])


@pytest.mark.anyio
async def test_a_service_that_never_answers_is_given_up() -> None:
    """What hangs is waited for no longer than apprise allows, and told once."""
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"json://127.0.0.1:{silent.getsockname()[1]}/{SECRET}?rto=0.2&cto=0.2"
        notifier = await open_notifier([Target(url=url)], {}, said.append, lambda: 0.0)
        for _ in range(2):
            notifier.of_job()(RunEnded({"job": "spring", "stopped_by": None}))
        await notifier.close()

    assert ["a notification by json could not be sent; the run goes on"] == said


@pytest.mark.anyio
async def test_several_addresses_in_one_are_refused() -> None:
    """One target is one address: its scheme is what is told of it."""
    with pytest.raises(UsageError, match="this is no address"):
        await open_notifier([Target(url="json://a, json://b")], {}, print, lambda: 0.0)
