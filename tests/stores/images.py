"""Small whole images of every kind, attempts that bring them, and a job's folder to keep them in."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from batchgen.core.records import Found
from batchgen.core.types import Answer, ImageBytes, StoredImage, Usage
from batchgen.stores.directory import DirectoryStore, open_store
from batchgen.stores.sidecars import Origin

ORIGIN = Origin("spring", "cometapi", "api.cometapi.com")
NOW = datetime(2026, 11, 23, 22, 0, 30, 250_000, tzinfo=UTC)
ANSWER = Answer(200, "req-1", Usage(12, 0, 196), "A paper boat on water.", {"created": 1})


def picture(words: str, kind: str = "PNG") -> bytes:
    """A picture of 16 x 8 pixels, another for other words."""
    color = tuple(hashlib.sha256(words.encode()).digest()[:3])
    file = io.BytesIO()
    Image.new("RGB", (16, 8), color).save(file, kind)
    return file.getvalue()


def answer(data: bytes, *more: bytes) -> ImageBytes:
    """An answer that brings a picture, and perhaps further ones."""
    return ImageBytes(
        base64.b64encode(data).decode(), ANSWER, tuple(base64.b64encode(one).decode() for one in more)
    )


def found(image: StoredImage) -> Found:
    """An image with what a ledger knows of the attempt that brought it."""
    return Found(
        image,
        current=True,
        number=3,
        run_id="20261123T220000Z-3f9a",
        started="2026-11-23T22:00:00.000Z",
        ended="2026-11-23T22:00:30.250Z",
        http_status=201,
        request_id="req-1",
        possible_duplicate=True,
        further=False,
    )


def store_in(folder: Path) -> AbstractAsyncContextManager[DirectoryStore]:
    """The store of a job's folder."""
    return open_store(folder, ORIGIN, now=lambda: NOW)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def names(folder: Path) -> list[str]:
    """Every file below a folder."""
    return list(files(folder))


def sidecar(folder: Path, name: str) -> dict[str, Any]:
    """A sidecar's content."""
    content: dict[str, Any] = json.loads((folder / name).read_bytes())
    return content
