"""`events.jsonl`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import get_args

import pytest

from batchgen.core.events import AttemptSent, Event, Notice, Paused, PlanMade, RunBroken, RunEnded
from batchgen.core.summary import PlanSummary
from batchgen.reports.events import EventLog, facts, name_of
from tests.reports.samples import failed_event, started, stored_event, task

EVENTS: list[Event] = [
    PlanMade(PlanSummary("spring", "spring.yaml", "sandbox", "localhost", "output/spring")),
    started(2, images_per_minute=60),
    AttemptSent(task(), "a1", 1),
    stored_event(),
    failed_event("Nein \ud800\nno"),
    Paused(("gpt-image-2",), 20, "slow down"),
    Notice("mind the gap"),
    RunEnded({"job": "spring", "stored": 1}),
    RunBroken("spring", 2, "UsageError", "no"),
]


def test_every_event_is_a_line_with_its_time(tmp_path: Path) -> None:
    """A script reads the whole run from the file, and no prompt, raw answer or signed URL is in it."""
    path = tmp_path / "events.jsonl"

    with EventLog(path, lambda: "2026-01-02T03:04:05.000Z") as log:
        for event in EVENTS:
            log.notify(event)
    text = path.read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]

    expected = [
        "plan_made",
        "run_started",
        "attempt_sent",
        "task_stored",
        "attempt_failed",
        "paused",
        "notice",
        "run_ended",
        "run_broken",
    ]
    assert expected == [line["event"] for line in lines]
    assert {"2026-01-02T03:04:05.000Z"} == {line["time"] for line in lines}
    assert tuple(lines[3][key] for key in ("file", "cost_usd", "seconds")) == ("images/boat--01.png", 0.04, 2.5)
    assert tuple(lines[4][key] for key in ("class", "reason", "state")) == (
        "refused",
        "Nein \ud800\nno",
        "failed",
    )
    assert lines[7]["summary"] == {"job": "spring", "stored": 1}
    assert "sig=secret" not in text
    assert "A paper boat." not in text


def test_every_event_is_explained() -> None:
    """No kind of event is missing here, and operations.md tells when each is written and with which fields."""
    assert set(get_args(Event)) == {type(event) for event in EVENTS}
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
    section = page[page.index("events.jsonl`\n") : page.index("## For machines")]
    rows = {row.split("`")[1]: row for row in section.splitlines() if row.startswith("| `")}

    assert {name_of(event) for event in EVENTS} == rows.keys()
    for event in EVENTS:
        assert [] == [name for name in facts(event) if f"`{name}`" not in rows[name_of(event)]]


def test_lines_are_there_at_once_and_for_all(tmp_path: Path) -> None:
    """Whoever follows the file sees an event as it happens; others may read it, nobody else may write it."""
    path = tmp_path / "events.jsonl"
    old = os.umask(0)
    try:
        log = EventLog(path, lambda: "T")
    finally:
        os.umask(old)

    log.notify(Notice("now"))
    seen = path.read_text("utf-8")
    log.close()
    log.close()

    assert seen == '{"time": "T", "event": "notice", "message": "now"}\n'
    assert oct(0o644) == oct(path.stat().st_mode & 0o777)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_does_not_stop_a_run() -> None:
    """An observer never raises: the log ends early and says so."""
    log = EventLog(Path("/dev/full"), lambda: "T")

    log.notify(Notice("one"))
    log.notify(Notice("two"))
    log.close()

    assert log.problem == "/dev/full ends early: No space left on device"
