"""From an answer to an image in the state folder: decode, check to the last byte, hash, write. One thread hop."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pybase64

from batchgen.core.errors import NotAnImageError
from batchgen.core.media import media_of
from batchgen.core.money import settled_usd
from batchgen.core.types import Attempt, ImageBytes, StoredImage, Task
from batchgen.stores.arrivals import Arrival, Barrier
from batchgen.stores.layout import Layout
from batchgen.stores.sidecars import Origin, build_sidecar, dump_sidecar, rebuild_sidecar
from batchgen.system.clock import moment_text
from batchgen.system.files import fill_file, fsync_directory, write_file

_SPACES = re.compile(r"\s+")
_MIN_ROOM_BYTES = 1 << 20
_MAX_ROOM_BYTES = 64 << 20
_USUAL_ROOM_BYTES = 8 << 20
_SIZE = re.compile(r"(\d{2,5})x(\d{2,5})")


def room_bytes(attempt: Attempt) -> int:
    """Room for an answer: four bytes a pixel, which no format of natural images exceeds, within 1 and 64 MiB."""
    match = _SIZE.fullmatch(str(attempt.task.request.parameters.get("size", "")))
    if match is None:
        return _USUAL_ROOM_BYTES
    return min(_MAX_ROOM_BYTES, max(_MIN_ROOM_BYTES, 4 * int(match[1]) * int(match[2])))


def decode(encoded: str | bytes) -> bytes:
    """The bytes of an image; base64 in its harmless variants (line breaks, URL-safe letters, no padding) is taken.

    Raises `NotAnImageError`.
    """
    if isinstance(encoded, bytes):
        return encoded
    try:
        return pybase64.b64decode(encoded, validate=True)
    except ValueError:
        text = _SPACES.sub("", encoded).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return pybase64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise NotAnImageError(f"the answer's image is not base64 ({error})") from error


class Arriving:
    """Turns answers into arrivals for the barrier. Called on worker threads."""

    def __init__(self, layout: Layout, origin: Origin, barrier: Barrier, now: Callable[[], datetime]) -> None:
        self._layout = layout
        self._origin = origin
        self._barrier = barrier
        self._now = now

    def __call__(self, attempt: Attempt, image: ImageBytes) -> Arrival:
        """Write image and sidecar into the state folder. Raises `NotAnImageError` with the bytes in quarantine."""
        try:
            data = decode(image.encoded)
            stored = self._describe(attempt, image, data)
        except NotAnImageError:
            self.quarantine(attempt.attempt_id, _raw(image.encoded))
            self._layout.part(attempt.attempt_id).unlink(missing_ok=True)
            raise
        part, sidecar = self._layout.part(attempt.attempt_id), self._layout.part_sidecar(attempt.attempt_id)
        fill_file(part, data)
        part.chmod(0o644)
        stored = replace(stored, mtime_ns=part.stat().st_mtime_ns)
        self._write_sidecar(attempt, stored, image)
        for number, encoded in enumerate(image.more, start=2):
            self._keep_extra(attempt, replace(image, encoded=encoded), number)
        return Arrival(stored, image.answer, part, sidecar)

    def rebuilt_sidecar(self, image: StoredImage, task: Task) -> dict[str, Any]:
        """What is known of a stored image whose sidecar is gone."""
        return rebuild_sidecar(self._origin, image, task)

    def quarantine(self, attempt_id: str, evidence: bytes) -> None:
        """Keep what came instead of an image."""
        write_file(self._layout.quarantine / f"{attempt_id}.bin", evidence, mode=0o600)
        fsync_directory(self._layout.quarantine)

    def _describe(self, attempt: Attempt, image: ImageBytes, data: bytes) -> StoredImage:
        media = media_of(data)
        return StoredImage(
            attempt_id=attempt.attempt_id,
            task_id=attempt.task.task_id,
            fingerprint=attempt.task.fingerprint,
            file=f"{self._layout.images.name}/{attempt.task.task_id}.{media.extension}",
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            mtime_ns=0,
            media=media,
            cost_usd=settled_usd(attempt.task.price, image.answer.usage),
        )

    def _write_sidecar(self, attempt: Attempt, stored: StoredImage, image: ImageBytes) -> None:
        received = moment_text(self._now().astimezone(UTC))
        sidecar = build_sidecar(self._origin, attempt, stored, image.answer, received)
        write_file(self._layout.part_sidecar(attempt.attempt_id), dump_sidecar(sidecar), durable=False)

    def _keep_extra(self, attempt: Attempt, image: ImageBytes, number: int) -> None:
        """A second image of one answer is paid for too: it goes to `superseded/`, or to quarantine if it is none."""
        attempt_id = f"{attempt.attempt_id}-{number}"
        try:
            data = decode(image.encoded)
            stored = self._describe(attempt, image, data)
        except NotAnImageError:
            self.quarantine(attempt_id, _raw(image.encoded))
            return
        name = self._barrier.superseded_name(
            attempt.task.task_id, attempt.task.fingerprint, f".{stored.media.extension}", attempt_id
        )
        extra = replace(attempt, attempt_id=attempt_id)
        # It belongs to the same request, whose cost the first image carries.
        stored = replace(stored, file=name.name, cost_usd=0.0, attempt_id=attempt_id)
        received = moment_text(self._now().astimezone(UTC))
        sidecar = build_sidecar(self._origin, extra, stored, image.answer, received)
        write_file(name.with_suffix(".json"), dump_sidecar(sidecar))
        write_file(name, data)
        fsync_directory(self._layout.superseded)


def _raw(encoded: str | bytes) -> bytes:
    return encoded if isinstance(encoded, bytes) else encoded.encode("utf-8", "backslashreplace")
