"""Logs: the standard library's, as JSON lines where they are asked for."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from batchgen.core.events import AttemptSent, Event, Notice, Paused, RunBroken, RunEnded
from batchgen.reports.events import name_of
from batchgen.reports.logs import JsonHandler, json_handler, json_to, log_of_job
from tests.reports.samples import failed_event, started, stored_event, task
from tests.support.cli import Desk
from tests.support.paid import Rule, refuse

pytest_plugins = ("tests.support.fixtures",)

EVENTS: list[tuple[str, str, Event]] = [
    ("warning", "mind the gap", Notice("mind the\x1b[31m gap")),
    ("info", "spring: 2 images to make with cometapi, at most 60 a minute, 8 at once (run r1)", started(2, images_per_minute=60)),
    ("debug", "boat--01: attempt 1 is sent", AttemptSent(task(), "a1", 1)),
    ("info", "boat--01: stored as images/boat--01.png", stored_event()),
    ("warning", "boat--01: refused: Nein no", failed_event("Nein \x1b]0;title\x07no")),
    ("warning", "paused gpt-image-2 for 20 s: slow down", Paused(("gpt-image-2",), 20, "slow down")),
    ("info", "spring ended: 2 stored, 0 kept, 0 failed, 0 held, 0 pending", RunEnded({"job": "spring", "stored": 2})),
    ("warning", "spring ended: 0 stored, 0 kept, 1 failed, 0 held, 0 pending", RunEnded({"job": "spring", "failed": 1})),
    ("error", "wrong", RunBroken("spring", 2, "UsageError", "wrong")),
]  # fmt: skip


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where JSON lines go, with logging as it was afterwards."""
    root, tree = logging.getLogger(), logging.getLogger("batchgen")
    levels, shows = (root.level, tree.level), warnings.showwarning
    written = io.StringIO()
    handler = json_to(written, logging.DEBUG)
    yield written
    root.removeHandler(handler)
    logging.captureWarnings(capture=False)
    root.setLevel(levels[0])
    tree.setLevel(levels[1])
    warnings.showwarning = shows


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """What was written."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_event_is_a_record(stream: io.StringIO) -> None:
    """Each has its time, level, words and the fields of `events.jsonl`, of its own run; nothing moves a terminal."""
    observer, other = log_of_job("spring.yaml"), log_of_job("autumn.yaml")
    for _, _, event in EVENTS:
        observer(event)
    other(Notice("else"))
    told = lines(stream)

    assert [(level, words) for level, words, _ in EVENTS] == [
        (line["level"], line["message"]) for line in told[:-1]
    ]
    assert [name_of(event) for _, _, event in EVENTS] == [line["event"] for line in told[:-1]]
    assert ("spring.yaml", "spring", "r1", "images/boat--01.png") == tuple(
        told[3][key] for key in ("manifest", "job", "run_id", "file")
    )
    assert ("refused", "Nein no") == (told[4]["class"], told[4]["reason"])
    assert ("autumn.yaml", False) == (told[-1]["manifest"], "job" in told[-1])
    assert all(line["time"].endswith("Z") for line in told)
    assert "\x1b" not in stream.getvalue()
    assert "\\u001b" not in stream.getvalue()


def test_records_carry_their_fields(caplog: pytest.LogCaptureFixture) -> None:
    """Without JSON lines a program's own handlers get the same fields as an attribute."""
    with caplog.at_level(logging.INFO, logger="batchgen"):
        log_of_job("spring.yaml")(stored_event(0.04))

    (record,) = caplog.records
    assert "batchgen.run" == record.name
    assert ("task_stored", 0.04) == tuple(vars(record)["batchgen"][key] for key in ("event", "cost_usd"))


def test_other_libraries_are_heard_but_not_their_secrets(stream: io.StringIO) -> None:
    """Warnings of asyncio, aiohttp and Python are lines too, tracebacks included; keys are taken out, apprise is left out."""
    handler = json_handler()
    assert isinstance(handler, JsonHandler)
    handler.hides(lambda text: text.replace("sk-hush", "***"))
    logging.getLogger("asyncio").warning("a task was destroyed, key sk-hush")
    logging.getLogger("asyncio").debug("selector")
    logging.getLogger("aiohttp.client").error("Unclosed connection", exc_info=ValueError("of sk-hush"))
    logging.getLogger("apprise").error("json://hush")
    logging.getLogger("apprise.plugins").error("json://hush")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn("old\x1b[1m", DeprecationWarning, stacklevel=1)
    told = lines(stream)

    assert ["asyncio", "aiohttp.client", "py.warnings"] == [line["logger"] for line in told]
    assert "a task was destroyed, key ***" == told[0]["message"]
    assert "ValueError: of ***" == told[1]["traceback"][-1]
    assert "DeprecationWarning: old" in told[2]["message"]
    assert "hush" not in stream.getvalue()


def test_a_stream_that_breaks_ends_nothing(stream: io.StringIO) -> None:
    """A closed pipe costs the lines, not the run."""
    observer = log_of_job("spring.yaml")
    stream.close()

    observer(stored_event())


def test_the_command_logs_json(desk: Desk) -> None:
    """`--log json`: every line of stderr is an object, from the start to the end; stdout is as ever."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}, {"id": "bad", "prompt": "A bad one."}])
    desk.till.script(refuse("bad"))

    done = desk.do("run", "job.yaml", "--log", "json")
    told = [json.loads(line) for line in done.err.splitlines()]

    assert 1 == done.code
    assert "finished, 1 of 2 images are there" in done.out
    events = [line["event"] for line in told if line["event"] != "notice"]
    assert ("plan_made", "run_ended") == (events[0], events[-1])
    assert {"plan_made", "run_started", "task_stored", "attempt_failed", "run_ended"} == set(events)
    (stored,) = [line for line in told if line["event"] == "task_stored"]
    assert ("job.yaml", "job", "boat--01") == (stored["manifest"], stored["job"], stored["task_id"])

    done = desk.do("run", "job.yaml", "--log", "json", "--json", "--verbose", "--max-attempts", "1")
    told = [json.loads(line) for line in done.err.splitlines()]
    assert [done.last["run_id"]] == [line["run_id"] for line in told if line["event"] == "run_ended"]


def test_mistakes_and_stops_are_lines_too(desk: Desk) -> None:
    """A broken configuration, a broken manifest and a signal leave nothing but JSON on stderr; `--quiet` only warnings."""
    desk.manifest([{"id": "a b"}])
    (error,) = [json.loads(line) for line in desk.do("run", "job.yaml", "--log", "json").err.splitlines()]
    assert ("error", "run_broken", 2) == (error["level"], error["event"], error["exit_code"])
    assert "job.yaml:" in error["message"]

    path = desk.folder / "wrong.yaml"
    path.write_text("wat: 1\n")
    path.chmod(0o644)
    done = desk.do("run", "job.yaml", "--config", "wrong.yaml", "--log", "json")
    (error,) = [json.loads(line) for line in done.err.splitlines()]
    assert (2, "error", True) == (done.code, error["level"], "unknown key `wat`" in error["message"])

    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    desk.till.script(Rule(do="error", status=401, error={"message": f"wrong key {desk.till.key}"}))
    done = desk.do("run", "job.yaml", "--log", "json", "--quiet")
    told = [json.loads(line) for line in done.err.splitlines()]
    assert 3 == done.code
    assert {"warning"} == {line["level"] for line in told}
    assert "auth" == told[-1]["summary"]["stopped_by"]
