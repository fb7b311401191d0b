"""An engine that does as it is told, on any clock, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from batchgen.core.protocols import OnSent
from batchgen.core.types import Answer, Attempt, Failure, FailureClass, Link, Paid, Stored, Task
from batchgen.core.values import replace
from tests.ledgers.samples import stored


@dataclass(frozen=True)
class Reply:
    """What becomes of a request and how long it takes; None is a stored image of `cost_usd`."""

    outcome: Failure | Link | Exception | None = None
    seconds: float = 1.0
    cost_usd: float | None = 0.04
    exhausted_s: float | None = None


@dataclass(frozen=True)
class Call:
    """A request as the provider saw it."""

    at_s: float
    attempt: Attempt

    @property
    def task(self) -> Task:
        """Its task."""
        return self.attempt.task


Script = Callable[[Attempt], Reply]


async def _ready(_attempt: Attempt) -> None:
    """Room costs nothing here."""


@dataclass
class ScriptedEngine:
    """`batchgen.core.protocols.Engine`; `script` says what becomes of each attempt, `fetched` of each download.

    `on_reserve`, `on_perform` and `on_fetch` are awaited first: they can stall, fail, or look at the ledger.
    """

    script: Script = lambda _attempt: Reply()
    fetched: Script = lambda _attempt: Reply()
    adoptable: Callable[[Attempt], Stored | None] = lambda _attempt: None
    on_reserve: Callable[[Attempt], Awaitable[None]] = _ready
    on_perform: Callable[[Attempt], Awaitable[None]] = _ready
    on_fetch: Callable[[Attempt], Awaitable[None]] = _ready
    calls: list[Call] = field(default_factory=list)
    downloads: list[Call] = field(default_factory=list)
    flying: int = 0
    most: int = 0

    async def reserve(self, attempt: Attempt) -> None:
        """Make room."""
        await self.on_reserve(attempt)

    async def perform(self, attempt: Attempt, on_sent: OnSent | None = None) -> Stored | Link | Failure:
        """Send."""
        if on_sent is not None:
            on_sent()
        self.calls.append(Call(asyncio.get_running_loop().time(), attempt))
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            await self.on_perform(attempt)
            return await _follow(attempt, self.script(attempt))
        finally:
            self.flying -= 1

    async def fetch(self, attempt: Attempt, link: Link) -> Stored | Failure:
        """Download."""
        self.downloads.append(Call(asyncio.get_running_loop().time(), attempt))
        await self.on_fetch(attempt)
        outcome = await _follow(attempt, self.fetched(attempt))
        assert not isinstance(outcome, Link), f"a download of {link.url} brings no link"
        return outcome

    async def adopt(self, attempt: Attempt) -> Stored | None:
        """What is on the disk."""
        return self.adoptable(attempt)

    @property
    def ids(self) -> list[str]:
        """The tasks that were sent, in order."""
        return [call.task.task_id for call in self.calls]

    def times(self, *, model: str | None = None) -> list[float]:
        """When requests went out."""
        return [call.at_s for call in self.calls if model in (None, call.task.request.model)]


async def _follow(attempt: Attempt, reply: Reply) -> Stored | Link | Failure:
    await asyncio.sleep(reply.seconds)
    if isinstance(reply.outcome, Exception):
        raise reply.outcome
    if reply.outcome is not None:
        return reply.outcome
    image = stored(attempt, cost_usd=reply.cost_usd)
    return replace(image, answer=replace(image.answer, exhausted_s=reply.exhausted_s))


def in_turn(*replies: Reply) -> Script:
    """Each task gets these replies one after another, and the last one for ever."""
    seen: dict[str, int] = {}

    def script(attempt: Attempt) -> Reply:
        number = seen.get(attempt.task.task_id, 0)
        seen[attempt.task.task_id] = number + 1
        return replies[min(number, len(replies) - 1)]

    return script


def only(task_id: str, special: Script) -> Script:
    """One task has its own script, all others are stored."""
    return lambda attempt: special(attempt) if attempt.task.task_id == task_id else Reply()


def fault(
    kind: FailureClass,
    *,
    seconds: float = 1.0,
    retry_after_s: float | None = None,
    paid: Paid | None = None,
    reason: str = "as scripted",
    status: int | None = None,
    same_cause: bool = False,
) -> Reply:
    """A request that brings no image."""
    likely = Paid.MAYBE if kind is FailureClass.UNKNOWN else Paid.NO
    failure = Failure(
        kind,
        reason,
        paid=paid or likely,
        http_status=status,
        retry_after_s=retry_after_s,
        same_cause=same_cause,
    )
    return Reply(failure, seconds)


def link(url: str = "https://cdn.example.com/1.png?sig=x") -> Reply:
    """An answer that is a link."""
    return Reply(Link(url, Answer(200, "req-1")))
