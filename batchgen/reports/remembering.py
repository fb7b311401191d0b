"""What runs' event logs tell a ledger that has forgotten it. Lines that were cut, or are no such event, tell nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from batchgen.core.records import Remembered
from batchgen.core.types import Failure, FailureClass, Paid, TaskState
from batchgen.system.clock import moment_or_blank

_LARGEST = 2**53
_NOT_TOLD = (ValueError, KeyError, TypeError, RecursionError)


def remembered(path: Path) -> Iterator[Remembered]:
    """The requests of a run, in their order, and how they failed. Raises `OSError`."""
    for told in _lines(path):
        try:
            if told["event"] in {"attempt_sent", "attempt_failed"}:
                yield _remembered(told)
        except _NOT_TOLD:
            continue


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                told = json.loads(line)
            except (ValueError, RecursionError):
                continue  # a killed run leaves half a line at the end
            if isinstance(told, dict):
                yield told


def _remembered(told: Mapping[str, Any]) -> Remembered:
    failed = told["event"] == "attempt_failed"
    return Remembered(
        attempt_id=str(told["attempt_id"]),
        task_id=str(told["task_id"]),
        moment=moment_or_blank(told["time"]),
        fingerprint="" if failed else str(told["fingerprint"]),
        number=0 if failed else _count(told["number"]),
        # Logs of older versions tell neither.
        idempotency_key=str(told.get("idempotency_key", "")),
        possible_duplicate=bool(told.get("possible_duplicate")),
        reserved_usd=_amount(told.get("reserved_usd")),
        task_state=TaskState(told["state"]) if failed else TaskState.SENT,
        not_before=moment_or_blank(told.get("not_before")) or None,
        failure=_failure(told) if failed else None,
    )


def _failure(told: Mapping[str, Any]) -> Failure:
    status, request_id = told.get("http_status"), told.get("request_id")
    return Failure(
        FailureClass(told["class"]),
        str(told["reason"]),
        Paid(told["paid"]),
        None if status is None else _count(status),
        None if request_id is None else str(request_id),
    )


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise ValueError(f"{value!r} is no number of things")
    return value


def _amount(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
        raise ValueError(f"{value!r} is no amount")
    return value
