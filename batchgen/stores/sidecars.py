"""The JSON beside every image: enough to know what was asked, what came, what it cost, and to rebuild a ledger."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, TypeGuard

from msgspec.structs import asdict

from batchgen import __version__
from batchgen.core.records import Found
from batchgen.core.types import (
    Answer,
    Attempt,
    Media,
    StoredImage,
    Task,
    Usage,
)
from batchgen.stores.layout import IMAGES
from batchgen.system.clock import moment_or_blank
from batchgen.system.folder import File

SIDECAR_VERSION = 1

SIDECAR_CAP_BYTES = 4 << 20
"""A sidecar with the longest prompt and answer that are kept has under a tenth of it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NAMES = ("attempt_id", "task_id", "fingerprint", "file", "sha256")
"""Most of them become names of files, so that one with a slash is no sidecar of ours."""
_NUMBERS = ("size_bytes", "width", "height")
_TEXTS = ("request_id", "revised_prompt")
_LARGEST = 2**53
_TOKENS = ("text_in", "image_in", "image_out")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where images of a run come from."""

    job: str
    provider: str
    host: str


def build_sidecar(
    origin: Origin,
    attempt: Attempt,
    image: StoredImage,
    answer: Answer,
    received: str,
    *,
    further: bool = False,
) -> dict[str, Any]:
    """A sidecar's content; `received` is when the answer was whole, in UTC. No key and no link is in it.

    `further` is an image beyond the one that was asked for.
    """
    task = attempt.task
    request = task.request
    return {
        "sidecar": SIDECAR_VERSION,
        "batchgen": __version__,
        "job": origin.job,
        "task_id": task.task_id,
        "prompt_id": task.prompt_id,
        "sample": task.sample,
        "tags": list(task.tags),
        "variables": dict(task.variables),
        "fingerprint": task.fingerprint,
        "file": image.file.rpartition("/")[2],
        "sha256": image.sha256,
        "size_bytes": image.size_bytes,
        "media_type": image.media.media_type,
        "width": image.media.width,
        "height": image.media.height,
        "model": request.model,
        "request": {
            "prompt": request.prompt,
            "parameters": dict(request.parameters),
            "extra": dict(request.extra),
            "references": [asdict(picture) for picture in request.references],
            "mask": None if request.mask is None else asdict(request.mask),
        },
        "provider": origin.provider,
        "host": origin.host,
        "attempt_id": attempt.attempt_id,
        "attempts": attempt.number,
        "possible_duplicate": attempt.possible_duplicate,
        "further": further,
        "run_id": attempt.run_id,
        "sent": attempt.started,
        "received": received,
        "http_status": answer.http_status,
        "request_id": answer.request_id,
        "revised_prompt": answer.revised_prompt,
        "usage": _usage(answer.usage),
        "answer": dict(answer.raw),
        "cost_usd": image.cost_usd,
        "price": task.price.kind.value,
        "list_usd": task.price.list_usd,
    }


def rebuild_sidecar(origin: Origin, found: Found, task: Task) -> dict[str, Any]:
    """A sidecar in place of a lost one, from what the ledger knows; the answer's own words are gone."""
    attempt = Attempt(
        found.image.attempt_id,
        task,
        number=found.number,
        run_id=found.run_id,
        idempotency_key="",
        started=found.started,
        possible_duplicate=found.possible_duplicate,
    )
    answer = Answer(200, found.request_id)
    built = build_sidecar(origin, attempt, found.image, answer, found.ended, further=found.further)
    return built | {"http_status": found.http_status, "rebuilt": True}


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {"text_in": usage.text_in, "image_in": usage.image_in, "image_out": usage.image_out}


def rename_sidecar(sidecar: dict[str, Any], task: Task, file: str) -> dict[str, Any]:
    """The sidecar of an image that now serves `task`."""
    return sidecar | {
        "task_id": task.task_id,
        "prompt_id": task.prompt_id,
        "sample": task.sample,
        "tags": list(task.tags),
        "variables": dict(task.variables),
        "file": file,
    }


def dump_sidecar(sidecar: dict[str, Any]) -> bytes:
    """As it lies on disk: indented for people, in ASCII so that any text survives."""
    return (json.dumps(sidecar, indent=1) + "\n").encode("ascii")


def read_sidecar(file: File) -> dict[str, Any] | None:
    """A sidecar, or None when there is none that can be read, or something else in its place."""
    try:
        content = json.loads(file.read(SIDECAR_CAP_BYTES)) if file.is_regular() else None
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and _is_sidecar(content) else None


def _is_sidecar(content: dict[str, Any]) -> bool:
    """Whether everything that is read from a sidecar is there, and of its kind."""
    usage = content.get("usage", 0)
    return (
        all(isinstance(content.get(name), str) and _NAME.fullmatch(content[name]) for name in _NAMES)
        and all(_is_count(content.get(name)) for name in _NUMBERS)
        and all(isinstance(content.get(name, 0), str | None) for name in _TEXTS)
        and (content.get("http_status", "") is None or _is_count(content.get("http_status")))
        and (content.get("cost_usd", "") is None or _is_amount(content.get("cost_usd")))
        and isinstance(content.get("media_type"), str)
        and content["media_type"].isascii()
        and isinstance(content.get("answer"), dict)
        and (usage is None or (isinstance(usage, dict) and all(_is_count(usage.get(name)) for name in _TOKENS)))
    )


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def stored_of(sidecar: dict[str, Any], folder: str, mtime_ns: int) -> tuple[StoredImage, Answer]:
    """What a sidecar says of its image, which lies in `folder` (relative to the job's)."""
    file: str = sidecar["file"]
    media = Media(sidecar["media_type"], file.rpartition(".")[2], sidecar["width"], sidecar["height"])
    image = StoredImage(
        attempt_id=sidecar["attempt_id"],
        task_id=sidecar["task_id"],
        fingerprint=sidecar["fingerprint"],
        file=f"{folder}/{file}",
        sha256=sidecar["sha256"],
        size_bytes=sidecar["size_bytes"],
        mtime_ns=mtime_ns,
        media=media,
        cost_usd=sidecar["cost_usd"],
    )
    used = sidecar["usage"]
    usage = Usage(used["text_in"], used["image_in"], used["image_out"]) if used else None
    answer = Answer(
        sidecar["http_status"], sidecar["request_id"], usage, sidecar["revised_prompt"], sidecar["answer"]
    )
    return image, answer


def found_of(sidecar: dict[str, Any], folder: str, mtime_ns: int) -> Found:
    """What a sidecar says of its image and of the attempt that brought it."""
    image, answer = stored_of(sidecar, folder, mtime_ns)
    return Found(
        image,
        current=folder == IMAGES,
        number=attempts if _is_count(attempts := sidecar.get("attempts")) else 1,
        run_id=str(sidecar.get("run_id") or ""),
        started=moment_or_blank(sidecar.get("sent")),
        ended=moment_or_blank(sidecar.get("received")),
        http_status=answer.http_status,
        request_id=answer.request_id,
        possible_duplicate=bool(sidecar.get("possible_duplicate")),
        further=bool(sidecar.get("further")),
    )
