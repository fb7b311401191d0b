"""Attempts performed in this process: a provider and a store, side by side."""

from __future__ import annotations

from contextlib import suppress

import anyio

from batchgen.core.errors import AttemptError, NotAnImageError, StorageError
from batchgen.core.plain import REASON_LIMIT, one_line
from batchgen.core.protocols import ImageStore, OnSent, PartialSink, Provider
from batchgen.core.types import Attempt, Failure, FailureClass, ImageBytes, Link, Paid, Stored
from batchgen.core.values import replace
from batchgen.system.clock import Clock, moment_of, utc_now
from batchgen.system.patience import fail_after
from batchgen.system.turns import forget_frames, turns_kept

KEEP_DEADLINE_S = 120.0
"""Keeping a paid image is shielded from a stop, but a disk that takes longer than this is broken."""

FURTHER_S = 30.0
"""For images that an answer links to beside the one it brought, which waits for its place on the ledger meanwhile."""


class LocalEngine:
    """`batchgen.core.protocols.Engine` without any machine in between.

    `now` is what an old link's age is told by.
    """

    def __init__(self, provider: Provider, store: ImageStore, now: Clock = utc_now) -> None:
        self._provider = provider
        self._store = store
        self._now = now

    async def reserve(self, attempt: Attempt) -> None:
        """Make room for the answer."""
        await self._store.reserve(attempt)

    async def perform(self, attempt: Attempt, on_sent: OnSent | None = None) -> Stored | Link | Failure:
        """Send the request once, and keep what comes back."""
        with turns_kept():  # a large answer is done with when it is on the disk
            try:
                answer = await self._provider.generate(
                    attempt.task.request,
                    attempt_id=attempt.attempt_id,
                    idempotency_key=attempt.idempotency_key,
                    on_partial=self._sink(attempt) if self._store.keeps_partials else None,
                    on_sent=on_sent,
                )
            except AttemptError as error:
                return await self._failed(attempt, error)
            if isinstance(answer, Link):
                return answer
            outcome = await self._keep(attempt, answer)
            if isinstance(outcome, Stored):
                return await self._with_further(attempt, answer, outcome)
            return answer.instead or outcome

    async def _with_further(self, attempt: Attempt, image: ImageBytes, stored: Stored) -> Stored:
        """An image that is safe, with those that its answer links to beside it; one that cannot be had is given up."""
        if image.further is None:
            return stored
        found = None
        with anyio.move_on_after(FURTHER_S, shield=True), suppress(AttemptError):
            found = await self._provider.fetch(image.further)
        if found is None:
            return stored
        # Keeping an image twice is harmless.
        again = await self._keep(attempt, replace(image, more=(*image.more, found.encoded, *found.more)))
        return again if isinstance(again, Stored) else stored

    def _sink(self, attempt: Attempt) -> PartialSink:
        async def keep(number: int, encoded: str) -> None:
            # A look at what is under way: what becomes of it must not touch the image that is being paid for, and a disk
            # that fails is found by the image itself.
            try:
                await self._store.keep_partial(attempt, number, encoded)
            except (NotAnImageError, StorageError) as error:
                forget_frames(error)

        return keep

    async def fetch(self, attempt: Attempt, link: Link) -> Stored | Failure:
        """Download a link and keep it. What is no image is fetched once more: some hosts answer before they have it."""
        outcome = await self._fetched(attempt, link)
        if isinstance(outcome, Failure) and outcome.failure_class is FailureClass.NO_IMAGE:
            outcome = await self._fetched(attempt, link)
        return outcome

    async def adopt(self, attempt: Attempt) -> Stored | None:
        """What is on the disk already."""
        return await self._store.adopt(attempt)

    async def _fetched(self, attempt: Attempt, link: Link) -> Stored | Failure:
        with turns_kept():
            try:
                image = await self._provider.fetch(link)
            except AttemptError as error:
                forget_frames(error)
                if error.failure.failure_class is FailureClass.TRANSIENT:
                    return error.failure  # its room is kept: the link is fetched again
                failure = await self._failed(attempt, error)
                return replace(failure, reason=self._aged(failure.reason, attempt))
            return await self._keep(attempt, image)

    def _aged(self, reason: str, attempt: Attempt) -> str:
        """A dead link's reason with its age, which tells an expired one from one that never worked."""
        age_s = max(0.0, (self._now() - moment_of(attempt.started)).total_seconds())
        told = f"; it was asked for {age_s / 60:.0f} minutes ago"
        return one_line(reason, REASON_LIMIT - len(told)) + told

    async def _failed(self, attempt: Attempt, error: AttemptError) -> Failure:
        forget_frames(error)
        with anyio.CancelScope(shield=True):
            await self._store.release(attempt.attempt_id, error.evidence)
        return error.failure

    async def _keep(self, attempt: Attempt, image: ImageBytes) -> Stored | Failure:
        try:
            with fail_after(KEEP_DEADLINE_S, shield=True):
                stored = await self._store.keep(attempt, image)
        except NotAnImageError as error:
            forget_frames(error)
            answer = image.answer
            reason = one_line(f"the answer is no usable image: {error}")
            return Failure(FailureClass.NO_IMAGE, reason, Paid.YES, answer.http_status, answer.request_id)
        except TimeoutError as error:
            raise StorageError(f"the disk did not take an image within {KEEP_DEADLINE_S:g} s") from error
        return stored
