"""Images, links and attempts in their columns, and back; and what readers see of a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batchgen.core.records import AttemptView, Found, TaskView
from batchgen.core.types import (
    Answer,
    Attempt,
    AttemptState,
    Link,
    Media,
    Paid,
    StoredImage,
    Task,
    TaskState,
    Usage,
)
from batchgen.ledgers.tasks import Fields, Row, request_of, task_of
from batchgen.ledgers.values import (
    amount,
    class_of,
    count,
    dump,
    json_object,
    json_texts,
    json_words,
    moment,
    reads,
    storable,
    texts,
    unpacked,
)
from batchgen.system.clock import moment_or_blank


def image_fields(image: StoredImage) -> Fields:
    """An image as columns of `images`."""
    return {
        "attempt_id": image.attempt_id,
        "task_id": image.task_id,
        "fingerprint": image.fingerprint,
        "file": image.file,
        "sha256": image.sha256,
        "size_bytes": image.size_bytes,
        "mtime_ns": image.mtime_ns,
        "media_type": image.media.media_type,
        "extension": image.media.extension,
        "width": image.media.width,
        "height": image.media.height,
        "cost_usd": image.cost_usd,
    }


@reads
def image_at(values: Sequence[Any]) -> StoredImage:
    """The image of the last columns of a row of `compare_page`."""
    (attempt_id, task_id, fingerprint, file, sha256, size_bytes, mtime_ns, media_type, extension, width, height,
     cost_usd) = values  # fmt: skip
    media = Media(media_type, extension, count(width), count(height))
    size_bytes, cost_usd = count(size_bytes), amount(cost_usd)
    attempt_id, fingerprint, sha256 = unpacked(attempt_id), fingerprint.hex(), sha256.hex()
    return StoredImage(attempt_id, task_id, fingerprint, file, sha256, size_bytes, mtime_ns, media, cost_usd)


@reads
def image_of(row: Row) -> StoredImage:
    """The image of a row of `images`."""
    return StoredImage(
        attempt_id=row["attempt_id"],
        task_id=row["task_id"],
        fingerprint=row["fingerprint"],
        file=row["file"],
        sha256=row["sha256"],
        size_bytes=count(row["size_bytes"]),
        mtime_ns=row["mtime_ns"],
        media=Media(row["media_type"], row["extension"], count(row["width"]), count(row["height"])),
        cost_usd=amount(row["cost_usd"]),
    )


@reads
def found_of(row: Row) -> Found:
    """The image of a row of `images_made`, and the attempt that brought it, as far as it is known."""
    image = image_of(row)
    return Found(
        image,
        current=bool(row["current"]),
        number=count(row["number"] or 1),
        run_id=row["run_id"] or "",
        started=moment(row["started"]) or "",
        ended=moment(row["ended"]) or "",
        http_status=row["http_status"],
        request_id=row["request_id"],
        possible_duplicate=bool(row["possible_duplicate"]),
        further=row["number"] is None and not image.cost_usd,  # its request has the row, and the cost
    )


def link_fields(link: Link) -> Fields:
    """A link as columns of `attempts`. The answer is kept whole: a failed download overwrites status and id.

    Further links go with it, and with it they are forgotten.
    """
    answer = link.answer
    usage = [answer.usage.text_in, answer.usage.image_in, answer.usage.image_out] if answer.usage else None
    kept = {
        "http_status": answer.http_status,
        "request_id": answer.request_id,
        "usage": usage,
        "revised_prompt": answer.revised_prompt,
        "raw": dict(answer.raw),
        "more": list(link.more),
    }
    return {
        "url": storable(link.url),
        "expires": storable(link.expires),
        "http_status": answer.http_status,
        "request_id": storable(answer.request_id),
        "answer": dump(kept),
    }


@reads
def link_of(row: Row) -> Link | None:
    """The link of a row of `attempts`, None when its answer was none."""
    if row["url"] is None:
        return None
    kept = json_object(row["answer"])
    usage = Usage(*[count(tokens) for tokens in kept["usage"]]) if kept["usage"] else None
    answer = Answer(kept["http_status"], kept["request_id"], usage, kept["revised_prompt"], dict(kept["raw"]))
    return Link(row["url"], answer, moment(row["url_expires"]), texts(kept.get("more", [])))


@reads
def attempt_of(row: Row, task: Task) -> Attempt:
    """The attempt of a row of `attempts`, made for `task`."""
    return Attempt(
        attempt_id=row["attempt_id"],
        task=task,
        number=count(row["number"]),
        run_id=row["run_id"],
        idempotency_key=row["idempotency_key"],
        started=moment(row["started"]) or "",
        possible_duplicate=bool(row["possible_duplicate"]),
    )


@reads
def task_view(row: Row) -> TaskView:
    """A row of `task_views`."""
    image_usd, spent_usd = amount(row["image_usd"]), amount(row["spent_usd"])
    return TaskView(
        task_id=row["task_id"],
        prompt_id=row["prompt_id"],
        state=TaskState(row["state"]),
        failure_class=class_of(row["class"]),
        reason=row["reason"],
        attempts=row["attempts"],
        file=row["file"],
        sha256=row["sha256"],
        cost_usd=spent_usd if image_usd is None else image_usd,
        fingerprint=row["fingerprint"],
        not_before=moment(row["not_before"]),
        request=request_of(row),
        tags=json_texts(row["tags"]),
        variables=json_words(row["variables"]),
        width=row["width"],
        height=row["height"],
        size_bytes=row["size_bytes"],
        made=moment_or_blank(row["made"]) or None,
        seconds=amount(row["made_s"]),
    )


@reads
def attempt_view(row: Row) -> AttemptView:
    """A row of `attempt_views`."""
    return AttemptView(
        attempt_id=row["attempt_id"],
        task_id=row["task_id"],
        number=count(row["number"]),
        state=AttemptState(row["state"]),
        failure_class=class_of(row["class"]),
        reason=row["reason"],
        http_status=row["http_status"],
        request_id=row["request_id"],
        started=moment(row["started"]) or "",
        seconds=amount(row["seconds"]),
        cost_usd=amount(row["cost_usd"]),
        possible_duplicate=bool(row["possible_duplicate"]),
    )


TABLES = ("job", "runs", "tasks", "attempts", "images")


@reads
def check_row(table: str, row: Row) -> None:
    """Read a whole row of a table as every reader would. Raises `LedgerDamagedError`."""
    match table:
        case "tasks":
            task_of(row)
            TaskState(row["state"])
            class_of(row["class"])
            moment(row["not_before"])
            for name in ("tried", "unknowns", "resends_allowed"):
                count(row[name])
        case "attempts":
            attempt_view(row)
            link_of(row)
            amount(row["reserved_usd"])
            moment(row["ended"])
            if row["paid"] is not None:
                Paid(row["paid"])
        case "images":
            image_of(row)
