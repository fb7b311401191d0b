"""Tasks and events to report on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from batchgen.core.events import AttemptFailed, RunStarted, TaskStored
from batchgen.core.records import TaskView
from batchgen.core.types import (
    Answer,
    Failure,
    FailureClass,
    ImageRequest,
    JsonObject,
    Media,
    Paid,
    Price,
    PriceKind,
    Stored,
    StoredImage,
    Task,
    TaskState,
)

Batches = Callable[[], AsyncIterator[Sequence[TaskView]]]


def view(
    task_id: str,
    *,
    prompt_id: str = "boat",
    prompt: str = "A paper boat.",
    model: str = "gpt-image-2",
    parameters: JsonObject | None = None,
    state: str = "stored",
    failure_class: str | None = None,
    reason: str | None = None,
    variables: Mapping[str, str] | None = None,
    tags: tuple[str, ...] = (),
    cost_usd: float | None = 0.041,
) -> TaskView:
    """A task as the ledger gives it; a stored one has an image of 768 x 512 pixels."""
    stored = state == "stored"
    return TaskView(
        task_id=task_id,
        prompt_id=prompt_id,
        state=state,
        failure_class=failure_class,
        reason=reason,
        attempts=1,
        file=f"images/{task_id}.png" if stored else None,
        sha256="a" * 64 if stored else None,
        cost_usd=cost_usd if stored else None,
        fingerprint="f" * 64,
        not_before=None,
        request=ImageRequest(model, prompt, parameters or {}),
        tags=tags,
        variables=variables or {},
        width=768 if stored else None,
        height=512 if stored else None,
        size_bytes=1000 if stored else None,
    )


def in_batches(views: Sequence[TaskView], size: int = 2) -> Batches:
    """The tasks as a ledger streams them, from the start at each call."""

    async def batches() -> AsyncIterator[Sequence[TaskView]]:
        for start in range(0, len(views), size):
            yield views[start : start + size]

    return batches


def broken_after(views: Sequence[TaskView], good_readings: int) -> Batches:
    """Tasks whose reading breaks off after the first batch, once some readings went well."""
    readings: list[int] = []

    async def batches() -> AsyncIterator[Sequence[TaskView]]:
        readings.append(1)
        yield views
        if len(readings) > good_readings:
            raise OSError("the disk went away")

    return batches


def contents(folder: Path) -> dict[str, str]:
    """Every file of a folder with its text."""
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


def task(task_id: str = "boat--01", bound_usd: float | None = None) -> Task:
    """A task as events carry it."""
    request = ImageRequest("gpt-image-2", "A paper boat.")
    return Task(task_id, "boat", 0, 1, request, "f" * 64, Price(PriceKind.EXACT, bound_usd=bound_usd))


def started(
    to_send: int, *, images_per_minute: float | None = None, budget_usd: float | None = None
) -> RunStarted:
    """A run that begins with nothing kept."""
    return RunStarted("spring", "r1", "cometapi", to_send, to_send, 0, 8, images_per_minute, budget_usd, None)


def stored_event(cost_usd: float | None = 0.04) -> TaskStored:
    """An image that arrived."""
    media = Media("image/png", "png", 768, 512)
    image = StoredImage("a1", "boat--01", "f" * 64, "images/boat--01.png", "a" * 64, 1000, 1, media, cost_usd)
    answer = Answer(200, raw={"data": [{"url": "https://cdn.example.com/x.png?sig=secret"}]})
    return TaskStored(task(), "a1", Stored(image, answer), 2.5)


def failed_event(
    reason: str = "no",
    *,
    kind: FailureClass = FailureClass.REFUSED,
    state: TaskState = TaskState.FAILED,
    task_id: str = "boat--01",
    paid: Paid = Paid.NO,
    bound_usd: float | None = None,
) -> AttemptFailed:
    """An attempt that brought nothing."""
    failure = Failure(kind, reason, paid)
    return AttemptFailed(task(task_id, bound_usd), "a1", failure, state, None)
