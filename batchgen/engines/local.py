"""Attempts performed in this process: a provider and a store, side by side."""

from __future__ import annotations

import anyio

from batchgen.core.errors import AttemptError, NotAnImageError, StorageError
from batchgen.core.protocols import ImageStore, Provider
from batchgen.core.types import Attempt, Failure, FailureClass, ImageBytes, Link, Paid, Stored

KEEP_DEADLINE_S = 120.0
"""Keeping a paid image is shielded from a stop, but a disk that takes longer than this is broken."""


class LocalEngine:
    """`batchgen.core.protocols.Engine` without any machine in between."""

    def __init__(self, provider: Provider, store: ImageStore) -> None:
        self._provider = provider
        self._store = store

    async def reserve(self, attempt: Attempt) -> None:
        """Make room for the answer."""
        await self._store.reserve(attempt)

    async def perform(self, attempt: Attempt) -> Stored | Link | Failure:
        """Send the request once, and keep what comes back."""
        try:
            answer = await self._provider.generate(
                attempt.task.request, attempt_id=attempt.attempt_id, idempotency_key=attempt.idempotency_key
            )
        except AttemptError as error:
            return await self._failed(attempt, error)
        return answer if isinstance(answer, Link) else await self._keep(attempt, answer)

    async def fetch(self, attempt: Attempt, link: Link) -> Stored | Failure:
        """Download a link and keep it."""
        try:
            image = await self._provider.fetch(link)
        except AttemptError as error:
            if error.failure.failure_class is FailureClass.TRANSIENT:
                return error.failure  # its room is kept: the link is fetched again
            return await self._failed(attempt, error)
        return await self._keep(attempt, image)

    async def adopt(self, attempt: Attempt) -> Stored | None:
        """What is on the disk already."""
        return await self._store.adopt(attempt)

    async def _failed(self, attempt: Attempt, error: AttemptError) -> Failure:
        with anyio.CancelScope(shield=True):
            await self._store.release(attempt.attempt_id, error.evidence)
        return error.failure

    async def _keep(self, attempt: Attempt, image: ImageBytes) -> Stored | Failure:
        try:
            with anyio.CancelScope(shield=True), anyio.fail_after(KEEP_DEADLINE_S):
                stored = await self._store.keep(attempt, image)
        except NotAnImageError as error:
            answer = image.answer
            reason = f"the answer is no usable image: {error}"
            return Failure(FailureClass.NO_IMAGE, reason, Paid.YES, answer.http_status, answer.request_id)
        except TimeoutError as error:
            raise StorageError(f"the disk did not take an image within {KEEP_DEADLINE_S:g} s") from error
        return stored
