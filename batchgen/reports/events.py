"""`runs/<run id>/events.jsonl`: what happened, a line each, the same facts as on the screen."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

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

EVENTS = "events.jsonl"
"""The log's name in a run's folder."""

_JSON = json.JSONEncoder(ensure_ascii=False)
_WORD_STARTS = re.compile(r"(?<!^)(?=[A-Z])")


class EventLog:
    """An observer that appends one JSON object a line, each at once, to `path` in a folder that exists.

    `now` gives the moment in UTC as ISO 8601 text. The file is 0644 less the umask: there is no key and no
    signed URL in it. A full disk never stops a run: writing ends there, and `problem` says so (None while all
    is well). Raises `OSError` only when it is opened.
    """

    def __init__(self, path: Path, now: Callable[[], str]) -> None:
        self.problem: str | None = None
        self._path = path
        self._now = now
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def notify(self, event: Event) -> None:
        """Append one event, unless the disk failed before."""
        if self.problem is not None:
            return
        line = _JSON.encode({"time": self._now(), "event": name_of(event), **facts(event)})
        try:
            self._file.write(line + "\n")
        except OSError as error:
            self.problem = f"{self._path} ends early: {error.strerror}"

    def close(self) -> None:
        """Close the file; twice is harmless."""
        try:
            self._file.close()
        except OSError as error:
            self.problem = self.problem or f"{self._path} ends early: {error.strerror}"


def name_of(event: Event) -> str:
    """An event's name in logs, e.g. `task_stored`."""
    return _snake_case(type(event).__name__)


@cache
def _snake_case(name: str) -> str:
    return _WORD_STARTS.sub("_", name).lower()


def facts(event: Event) -> Mapping[str, object]:
    """What a line says of an event. Prompts and raw answers stay out: the sidecars have them."""
    match event:
        case PlanMade():
            return {"plan": event.plan.as_json()}
        case RunStarted():
            return dataclasses.asdict(event)
        case AttemptSent():
            return {
                "task_id": event.task.task_id,
                "attempt_id": event.attempt_id,
                "number": event.number,
                "idempotency_key": event.idempotency_key,
                "possible_duplicate": event.possible_duplicate,
                "model": event.task.request.model,
                "fingerprint": event.task.fingerprint,
                "reserved_usd": event.task.price.bound_usd,
            }
        case TaskStored():
            return _stored_facts(event)
        case AttemptFailed():
            return _failed_facts(event)
        case Paused():
            return {"models": list(event.models), "seconds": event.seconds, "reason": event.reason}
        case Notice():
            return {"message": event.message}
        case RunEnded():
            return {
                "summary": dict(event.summary),
                "failures": dict(event.failures),
                "stop_detail": event.stop_detail,
            }
        case RunBroken():
            return dataclasses.asdict(event)


def _stored_facts(event: TaskStored) -> Mapping[str, object]:
    image = event.stored.image
    return {
        "task_id": event.task.task_id,
        "attempt_id": event.attempt_id,
        "fingerprint": image.fingerprint,
        "file": image.file,
        "sha256": image.sha256,
        "size_bytes": image.size_bytes,
        "width": image.media.width,
        "height": image.media.height,
        "cost_usd": image.cost_usd,
        "request_id": event.stored.answer.request_id,
        "seconds": round(event.seconds, 3),
        "superseded": list(event.stored.superseded.values()),
    }


def _failed_facts(event: AttemptFailed) -> Mapping[str, object]:
    failure = event.failure
    return {
        "task_id": event.task.task_id,
        "attempt_id": event.attempt_id,
        "class": failure.failure_class.value,
        "reason": failure.reason,
        "paid": failure.paid.value,
        "http_status": failure.http_status,
        "request_id": failure.request_id,
        "retry_after_s": failure.retry_after_s,
        "state": event.task_state.value,
        "not_before": event.not_before,
    }
