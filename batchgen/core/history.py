"""What the ledger tells of a job beyond its tasks: how the last run went, what it changed, where the money went."""

from __future__ import annotations

from msgspec import Struct


class Bar(Struct, frozen=True):
    """Requests that ended within one of the equal spans of a run; `place` counts the spans from 0."""

    place: int
    stored: int
    failed: int


class Revision(Struct, frozen=True):
    """What a run did to a task: `new`, `replaced`, `made after trouble`, `newly failed` or `failed again`.

    `old_file` is the image that was replaced, relative to the job's folder, with its pixels.
    """

    task_id: str
    change: str
    old_file: str | None
    old_width: int | None
    old_height: int | None


class Share(Struct, frozen=True):
    """What the tasks of a `model` or with a `tag` (that is `kind`) cost in USD, and how many images came of it."""

    kind: str
    name: str
    images: int
    cost_usd: float


class History(Struct, frozen=True):
    """The last run beside the one before it. `before` is when that one began, None for a first run.

    `seconds` is how long requests took from the first to the last; `bars` leaves out spans without any end.
    """

    run_id: str = ""
    before: str | None = None
    seconds: float = 0.0
    bars: tuple[Bar, ...] = ()
    revisions: tuple[Revision, ...] = ()
    shares: tuple[Share, ...] = ()
