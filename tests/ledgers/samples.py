"""Tasks, attempts and outcomes to fill a ledger, a store or a pool with."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence

from batchgen.core.fingerprint import fingerprint
from batchgen.core.plan import Known, Planned, decide
from batchgen.core.protocols import Ledger
from batchgen.core.retry import NextStep
from batchgen.core.types import (
    Answer,
    Attempt,
    Change,
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
from batchgen.core.values import replace

MOMENT = "2026-11-23T22:00:00.000Z"
RUN = "20261123T220000Z-0001"
PRICE = Price(PriceKind.EXACT, expected_usd=0.04, bound_usd=0.05, list_usd=0.04)
RETRY = NextStep(TaskState.PENDING)
FAILED = NextStep(TaskState.FAILED)
HELD = NextStep(TaskState.HELD, same_key=True)


def task(
    task_id: str = "boat--01",
    *,
    position: int = 0,
    prompt: str = "A paper boat.",
    model: str = "gpt-image-2",
    parameters: JsonObject | None = None,
    sample: int = 1,
    price: Price = PRICE,
    tags: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> Task:
    """A task with the fingerprint of its request."""
    request = ImageRequest(model, prompt, parameters or {"size": "1024x1024"})
    print_of_it = fingerprint("cometapi", request, sample)
    return Task(task_id, task_id[:-4], position, sample, request, print_of_it, price, tags, variables or {})


def tasks(count: int, *, model: str = "gpt-image-2", prefix: str = "t", price: Price = PRICE) -> list[Task]:
    """Tasks `t0--01`, `t1--01` ..., each with a request of its own."""
    return [
        task(f"{prefix}{number}--01", position=number, prompt=f"{prefix} {number}", model=model, price=price)
        for number in range(count)
    ]


def attempt(of: Task, *, number: int = 1, run_id: str = RUN, key: str = "", duplicate: bool = False) -> Attempt:
    """A new attempt of a task."""
    return Attempt(str(uuid.uuid4()), of, number, run_id, key or str(uuid.uuid4()), MOMENT, duplicate)


def stored(
    of: Attempt,
    *,
    cost_usd: float | None = 0.041,
    extension: str = "png",
    superseded: Mapping[str, str] | None = None,
) -> Stored:
    """The image of an attempt, under its task's final name."""
    media = Media(f"image/{extension}", extension, 1024, 1024)
    file = f"images/{of.task.task_id}.{extension}"
    print_of_it = of.task.fingerprint
    image = StoredImage(of.attempt_id, of.task.task_id, print_of_it, file, "a" * 64, 1000, 7, media, cost_usd)
    return Stored(image, Answer(200, "req-1"), superseded or {})


def failure(kind: FailureClass, *, paid: Paid = Paid.NO, reason: str = "no luck") -> Failure:
    """A failure of a class."""
    return Failure(kind, reason, paid=paid, http_status=500, request_id="req-2")


LOST = failure(FailureClass.UNKNOWN, paid=Paid.MAYBE, reason="the answer was lost")
BUSY = failure(FailureClass.TRANSIENT, reason="busy")


async def queue(ledger: Ledger, of: Iterable[Task], run_id: str | None = RUN) -> None:
    """Put tasks on a ledger, to be sent by a run."""
    await ledger.apply(run_id, [Planned(one, Change.NEW, send=True) for one in of])


async def known(ledger: Ledger, manifest: Sequence[Task]) -> list[Known]:
    """Stage a manifest's tasks and read what is known of each."""
    assert [] == list(await ledger.stage(manifest))
    return [one async for page in ledger.compare() for one in page]


async def send(ledger: Ledger, of: Task, *, number: int = 1, run_id: str = RUN, key: str = "") -> Attempt:
    """Note an attempt as sent."""
    sent = attempt(of, number=number, run_id=run_id, key=key)
    await ledger.sent(sent)
    return sent


async def fail(
    ledger: Ledger, of: Attempt, what: Failure, step: NextStep, *, not_before: str | None = None
) -> None:
    """Note an attempt as failed."""
    await ledger.failed(of, what, step, not_before=not_before, ended=MOMENT, seconds=1.0)


async def store(ledger: Ledger, of: Attempt, *, superseded: Mapping[str, str] | None = None) -> Stored:
    """Note an attempt's image as durable."""
    image = stored(of, superseded=superseded)
    await ledger.stored(image, ended=MOMENT, seconds=2.5)
    return image


async def bought(ledger: Ledger, of: Task) -> Stored:
    """A task from its queueing to its image."""
    await queue(ledger, [of])
    return await store(ledger, await send(ledger, of))


async def states(ledger: Ledger) -> dict[str, str]:
    """The state of every task of the manifest."""
    return {view.task_id: view.state async for page in ledger.tasks() for view in page}


async def rerun(ledger: Ledger, manifest: Sequence[Task], run_id: str = RUN) -> list[Planned]:
    """What a run over sound images does with a manifest, short of moving files; its rows are made."""
    planned = [decide(one) for one in await known(ledger, manifest)]
    await ledger.apply(run_id, planned)
    await ledger.settle_manifest()
    return planned


def as_renamed(of: Task, task_id: str, *, position: int | None = None) -> Task:
    """The same request under another name."""
    place = of.position if position is None else position
    return replace(of, task_id=task_id, prompt_id=task_id[:-4], position=place)
