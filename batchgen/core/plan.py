"""A task and what the ledger knows of it -> what a run would do with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from batchgen.core.differences import Asked, Difference, differences
from batchgen.core.types import (
    Change,
    FailureClass,
    JsonObject,
    OnUnknown,
    StoredImage,
    Task,
    TaskState,
    forgotten_task,
)
from batchgen.core.values import replace

TRIED_AGAIN = frozenset(
    {FailureClass.RATE_LIMITED, FailureClass.TRANSIENT, FailureClass.MODEL, FailureClass.STORAGE}
)
"""Failures that a plain run tries again; the others wait for a changed request or for `retry`."""

RESENDS = 1
"""Lost answers of a fingerprint that are sent again without being asked to; each `retry` allows one more."""

TO_FETCH = "made and paid for; its link is still to be fetched"
"""The reason of a task that is never sent again, also not when its request changed meanwhile."""


class Earlier(Struct, frozen=True):
    """Requests of a fingerprint whose tasks no longer want it: they may be paid, so they are not forgotten.

    `lost` counts the lost answers, `retry_key` is the last one's idempotency key. `to_fetch` says that a paid link
    is still to be downloaded.
    """

    lost: int = 0
    retry_key: str | None = None
    to_fetch: bool = False


NOTHING_EARLIER = Earlier()


class Known(Struct, frozen=True):
    """A task of the manifest with what the ledger has about it; everything is None for a task never seen.

    `resent` says that the next lost answer of this fingerprint is held, since its resends are used up.
    `image` is the one under the task's final name. `spare` is a paid image of this job with the task's
    fingerprint that no other task of the manifest wants. `earlier` is what such a fingerprint left open where the
    task has another name or was changed meanwhile.
    """

    task: Task
    state: TaskState | None = None
    fingerprint: str | None = None
    failure_class: FailureClass | None = None
    reason: str | None = None
    not_before: str | None = None
    attempts: int = 0
    resent: bool = False
    sent_otherwise: bool = False
    image: StoredImage | None = None
    spare: StoredImage | None = None
    earlier: Earlier = NOTHING_EARLIER
    asked: Asked | None = None


class Planned(Struct, frozen=True):
    """What a run does with a task. `send` tasks are queued; `restore` is moved back instead of being bought.

    `reason` says why for people, "" where the change says it all. `renewed` is a task that `retry` named: its
    attempts count from 0 again and one more lost answer may be sent again. `earlier` goes with it. `differences` tell
    how a changed request differs from the one before it. `settled` is a kept task that the ledger knows as such.
    """

    task: Task
    change: Change
    send: bool
    reason: str = ""
    restore: StoredImage | None = None
    failure_class: FailureClass | None = None
    renewed: bool = False
    earlier: Earlier = NOTHING_EARLIER
    differences: tuple[Difference, ...] = ()
    settled: bool = False

    def as_json(self) -> JsonObject:
        """The object of `plan --tasks --json`, without its job."""
        task, price = self.task, self.task.price
        there = self.change is not Change.REMOVED
        return {
            "task_id": task.task_id,
            "prompt_id": task.prompt_id if there else None,
            "change": self.change.value,
            "send": self.send,
            "class": self.failure_class.value if self.failure_class else None,
            "reason": self.reason or None,
            "model": task.request.model if there else None,
            "price": price.kind.value if self.send else None,
            "cost_usd": price.expected_usd if self.send else None,
            "fingerprint": task.fingerprint if there else None,
            "differences": [difference.as_json() for difference in self.differences],
        }


def removed(task_id: str) -> Planned:
    """A task that left the manifest: nothing else is said of it."""
    return Planned(forgotten_task(task_id, ""), Change.REMOVED, send=False)


def alike(page: Sequence[Planned]) -> Iterator[tuple[Planned, int]]:
    """Tasks of a page that count alike, as one of them and how many: most have the very price and parameters of others."""
    found: dict[tuple[object, ...], list[Planned]] = {}
    for one in page:
        task = one.task
        request = task.request
        # By identity where hashing would take longer: what is equal and not the same is merely counted apart.
        like = (
            one.change,
            one.send,
            one.restore is None,
            one.failure_class,
            id(task.price),
            id(request.parameters),
        )
        found.setdefault((*like, request.model), []).append(one)
    return ((same[0], len(same)) for same in found.values())


def waves(moves: Sequence[Planned]) -> Iterator[list[Planned]]:
    """Tasks with a `restore`, in parts: within one, no image is moved to a name that another one leaves.

    What a move displaces lies elsewhere afterwards, so that its place has to be read again; and the names of two that
    swap are settled one after the other. A chain or a ring of names takes two or three parts, however long it is.
    """
    while moves:
        wave, later = list[Planned](), list[Planned]()
        left, taken = set[str](), set[str]()
        for one in moves:
            source = one.restore.file.rpartition(".")[0].lower() if one.restore else ""
            target = f"images/{one.task.task_id}".lower()
            if source in taken or target in left:
                later.append(one)
            else:
                wave.append(one)
                left.add(source)
                taken.add(target)
        yield wave
        moves = later


def decide(known: Known, damage: str | None = None, on_unknown: OnUnknown = OnUnknown.RESEND) -> Planned:
    """Decide a task's change. `damage` is what is wrong with its image on disk, None when it is whole.

    An image of the right fingerprint wins over everything: it is paid for.
    """
    task = known.task
    image = known.image
    if image is not None and image.fingerprint == task.fingerprint and damage is None:
        settled = known.state is TaskState.STORED and known.fingerprint == task.fingerprint and not known.reason
        return Planned(task, Change.KEPT, send=False, settled=settled)
    if known.spare is not None:
        return Planned(task, Change.KEPT, send=False, reason="moved back", restore=known.spare)
    if known.state is TaskState.RECEIVED or known.earlier.to_fetch:
        return Planned(task, Change.RETRY, send=False, reason=TO_FETCH)
    if known.earlier.lost:
        return _decide_lost_earlier(known, on_unknown)
    if known.state is None:
        return Planned(task, Change.NEW, send=True)
    if known.fingerprint != task.fingerprint:
        asked = known.asked
        differing = () if asked is None else differences(asked.request, task.request)
        return Planned(task, Change.CHANGED, send=True, reason="the request changed", differences=differing)
    return _decide_unchanged(known, damage, on_unknown)


def _decide_lost_earlier(known: Known, on_unknown: OnUnknown) -> Planned:
    """The same image was asked for under another name, or before a change, and the answer was lost."""
    hold = on_unknown is OnUnknown.HOLD or known.earlier.lost > RESENDS
    return Planned(
        known.task,
        Change.HELD if hold else Change.RETRY,
        send=not hold,
        reason="its answer was lost when it was asked for before",
        failure_class=FailureClass.UNKNOWN,
        earlier=known.earlier,
    )


def _decide_unchanged(known: Known, damage: str | None, on_unknown: OnUnknown) -> Planned:
    task, reason, failure = known.task, known.reason or "", known.failure_class
    match known.state:
        case TaskState.STORED:
            return Planned(task, Change.MISSING, send=False, reason=damage or "missing")
        case TaskState.HELD:
            return Planned(task, Change.HELD, send=False, reason=reason, failure_class=failure)
        case TaskState.FAILED if failure not in TRIED_AGAIN and not _mended(known):
            return Planned(task, Change.FAILED, send=False, reason=reason, failure_class=failure)
        case TaskState.SENT if on_unknown is OnUnknown.HOLD or known.resent:
            lost = FailureClass.UNKNOWN
            return Planned(task, Change.HELD, send=False, reason="its answer was lost", failure_class=lost)
        case TaskState.PENDING if known.attempts == 0 and not reason:
            return Planned(task, Change.NEW, send=True)
        case _:
            return Planned(task, Change.RETRY, send=True, reason=reason, failure_class=failure)


def _mended(known: Known) -> bool:
    """Whether what failed would be sent in another way now, such as without streaming, which no fingerprint tells."""
    return known.sent_otherwise and known.failure_class in {FailureClass.INVALID, FailureClass.NO_IMAGE}


def renew(planned: Planned) -> Planned:
    """Put a task that `retry` names back to pending: what failed, is held or lost its image is sent again."""
    if (
        planned.change not in {Change.FAILED, Change.HELD, Change.MISSING, Change.RETRY}
        or planned.reason == TO_FETCH
    ):
        return planned
    return replace(planned, change=Change.RETRY, send=True, renewed=True)
