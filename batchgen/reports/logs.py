"""Runs in the standard library's logging, under the logger `batchgen`; nothing is configured unless it is asked for."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TextIO

from batchgen.core.events import (
    AttemptFailed,
    AttemptSent,
    Event,
    Notice,
    Paused,
    PlanMade,
    RunBroken,
    RunEnded,
    RunStarted,
    TaskStored,
)
from batchgen.core.plain import safe_text
from batchgen.core.protocols import Observer
from batchgen.reports.events import facts, name_of
from batchgen.reports.progress import end_line, start_line
from batchgen.reports.text import counted, duration_text
from batchgen.system.clock import moment_text

TREE = "batchgen"
"""The logger that all others of batchgen are under. Its level and handlers are whose program it is."""

FIELDS = "batchgen"
"""The attribute of a record that holds what an event says, as in `events.jsonl`."""

_RUNS = logging.getLogger(f"{TREE}.run")
logging.getLogger(TREE).addHandler(logging.NullHandler())

Hide = Callable[[str], str]
"""Takes the secrets out of a text."""


def log_of_job(manifest: str) -> Observer:
    """An observer of one run that turns what it is told into records of the logger `batchgen.run`.

    `manifest` tells the records of several jobs apart also before their names are known.
    """
    run: dict[str, object] = {"manifest": manifest}

    def notify(event: Event) -> None:
        if isinstance(event, RunStarted):
            run.update(job=event.job, run_id=event.run_id)
        level = level_of(event)
        if _RUNS.isEnabledFor(level):
            told = {"event": name_of(event), **run, **facts(event)}
            _RUNS.log(level, "%s", words(event), extra={FIELDS: told})

    return notify


def level_of(event: Event) -> int:
    """How much an event matters: what a person may have to look at is a warning."""
    match event:
        case AttemptSent():
            return logging.DEBUG
        case RunBroken():
            return logging.ERROR
        case AttemptFailed() | Paused() | Notice():
            return logging.WARNING
        case RunEnded() if event.exit_code:
            return logging.WARNING
        case _:
            return logging.INFO


def words(event: Event) -> str:
    """An event as one line for people."""
    match event:
        case PlanMade():
            plan = event.plan
            return safe_text(f"plan of {plan.job}: {counted(plan.tasks, 'task')}, {plan.to_send:,} to send")
        case RunStarted():
            return start_line(event)
        case AttemptSent():
            return safe_text(f"{event.task.task_id}: attempt {event.number} is sent")
        case TaskStored():
            return safe_text(f"{event.task.task_id}: stored as {event.stored.image.file}")
        case AttemptFailed():
            return safe_text(f"{event.task.task_id}: {event.failure.failure_class}: {event.failure.reason}")
        case Paused():
            models = ", ".join(event.models)
            return safe_text(f"paused {models} for {duration_text(event.seconds)}: {event.reason}")
        case RunEnded():
            return end_line(event)
        case Notice() | RunBroken():
            return safe_text(event.message)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, and an event's own fields. ASCII, no escapes."""

    def __init__(self, hide: Hide) -> None:
        super().__init__()
        self.hide = hide

    def format(self, record: logging.LogRecord) -> str:
        """A record as its line."""
        line: dict[str, object] = {
            "time": moment_text(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        told = getattr(record, FIELDS, None)
        if isinstance(told, Mapping):
            line |= {name: _plain(value) for name, value in told.items()}
        line["message"] = self.hide(safe_text(record.getMessage()))
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = [
                self.hide(part) for part in "".join(traceback.format_exception(record.exc_info[1])).splitlines()
            ]
        return json.dumps(line)


class JsonHandler(logging.StreamHandler[TextIO]):
    """Writes records as JSON lines, all but those of apprise, which may quote the secrets of its URLs."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.setFormatter(JsonFormatter(lambda text: text))
        self.addFilter(lambda record: record.name.partition(".")[0] not in {"apprise", "urllib3"})

    def hides(self, hide: Hide) -> None:
        """Take secrets out of messages from now on."""
        self.setFormatter(JsonFormatter(hide))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's interface
        """A stream that broke must not end a run, and there is nobody to tell."""


def json_to(stream: TextIO, level: int) -> JsonHandler:
    """Have everything that this process logs written as JSON lines: batchgen from `level` up, all others' warnings."""
    handler = JsonHandler(stream)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(TREE).setLevel(level)
    logging.captureWarnings(capture=True)
    return handler


def json_handler() -> JsonHandler | None:
    """What `json_to` set up in this process, None where it was not called."""
    return next((one for one in logging.getLogger().handlers if isinstance(one, JsonHandler)), None)


def _plain(value: object) -> object:
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
