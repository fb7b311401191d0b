"""What runs' event logs tell a ledger that has forgotten it. Lines that were cut, or are no such event, tell nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from batchgen.core.records import Found, Remembered
from batchgen.core.types import Failure, FailureClass, Media, Paid, StoredImage, TaskState
from batchgen.system.clock import moment_or_blank

_LARGEST = 2**53
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_PLACE = re.compile(r"images/(?P<task_id>[A-Za-z0-9_-]+)\.(?P<extension>[a-z0-9]+)")
_KINDS = {"jpg": "jpeg"}
_NOT_TOLD = (ValueError, KeyError, TypeError, RecursionError)


def remembered(path: Path) -> Iterator[Remembered]:
    """The requests of a run, in their order, and how they failed. Raises `OSError`."""
    for told in _lines(path):
        try:
            if told["event"] in {"attempt_sent", "attempt_failed"}:
                yield _remembered(told)
        except _NOT_TOLD:
            continue


def remembered_images(path: Path, run_id: str) -> Iterator[Found]:
    """The images that a run stored, under the names that it gave them. Raises `OSError`.

    They are no more than a claim: whether they lie there is for the store to find out, which sets their `mtime_ns`.
    """
    sent: dict[str, Mapping[str, Any]] = {}
    for told in _lines(path):
        try:
            attempt_id = str(told["attempt_id"])
            if told["event"] == "attempt_sent":
                sent[attempt_id] = told
            else:
                request = sent.pop(attempt_id, {})  # only what is under way is remembered
                if told["event"] == "task_stored":
                    yield _found(run_id, request, told)
        except _NOT_TOLD:
            continue


def _found(run_id: str, request: Mapping[str, Any], told: Mapping[str, Any]) -> Found:
    names = [
        told["attempt_id"],
        told["task_id"],
        told.get("fingerprint") or request["fingerprint"],
        told["sha256"],
    ]
    place = _PLACE.fullmatch(told["file"])
    if place is None or place["task_id"] != told["task_id"] or not all(map(_NAME.fullmatch, names)):
        raise ValueError(f"{told['file']!r} is no place of ours")
    attempt_id, task_id, fingerprint, sha256 = names
    extension = place["extension"]
    media = Media(
        f"image/{_KINDS.get(extension, extension)}", extension, _count(told["width"]), _count(told["height"])
    )
    image = StoredImage(
        attempt_id,
        task_id,
        fingerprint,
        told["file"],
        sha256,
        _count(told["size_bytes"]),
        0,
        media,
        _amount(told["cost_usd"]),
    )
    return Found(
        image,
        current=True,
        number=_count(request.get("number", 1)),
        run_id=run_id,
        started=moment_or_blank(request.get("time")),
        ended=moment_or_blank(told["time"]),
        http_status=None,
        request_id=None if told["request_id"] is None else str(told["request_id"]),
        possible_duplicate=bool(request.get("possible_duplicate")),
        further=False,
    )


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
