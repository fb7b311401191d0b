"""Rows of the ledger as values: what a resume needs, and what people and machines read."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from batchgen.core.types import (
    Attempt,
    AttemptState,
    Failure,
    ImageRequest,
    JsonObject,
    Link,
    StoredImage,
    Task,
    TaskState,
)


class RunRecord(Struct, frozen=True):
    """A run as the ledger notes it at its start; `manifest` is the file's path relative to the job's folder.

    `store` is the object store's address of its images, "" where they lie in the folder.
    """

    run_id: str
    job: str
    manifest: str
    provider: str
    host: str
    started: str
    store: str = ""


class Dearer(Struct, frozen=True):
    """A model that became dearer since a job was planned: what one of its tasks was and is expected to cost, in USD."""

    model: str
    task_id: str
    before_usd: float
    now_usd: float


class Due(Struct, frozen=True):
    """A queued task that may be sent now, with its history.

    `number` is the next attempt's, from 1 over the task's life. `tried` counts attempts since this run began or
    `retry` was asked. `unknowns` counts the lost answers of this fingerprint, `resends_allowed` how many of them
    may be sent again; `idempotency_key` is that of a lost answer, None when a new one is due. `spared` are those of
    `tried` that use up no attempt: a limit refused them that the task has nothing to do with.
    """

    task: Task
    number: int
    tried: int
    unknowns: int
    resends_allowed: int
    idempotency_key: str | None
    spared: int = 0


class Unfinished(Struct, frozen=True):
    """An attempt that a dead run left open, with its link if the answer was one.

    `unknowns` counts the lost answers of its fingerprint so far, without this one.
    """

    attempt: Attempt
    link: Link | None
    unknowns: int
    resends_allowed: int


class Found(Struct, frozen=True):
    """A paid image on disk with what its sidecar says of the attempt that brought it: enough for a lost ledger.

    `current` is True under its task's final name, False in `superseded/`. Moments are UTC texts, "" when not known.
    `further` is an image beyond the one that its attempt asked for.
    """

    image: StoredImage
    current: bool
    number: int
    run_id: str
    started: str
    ended: str
    http_status: int | None
    request_id: str | None
    possible_duplicate: bool
    further: bool


class Remembered(Struct, frozen=True):
    """A request as a run's event log tells it, for a ledger that has forgotten it: sent, or failed if `failure` is set.

    `fingerprint`, `number`, `idempotency_key` ("" when not known), `possible_duplicate` and `reserved_usd` are those of
    a sent request, `task_state` and `not_before` what a failure did to its task.
    """

    attempt_id: str
    task_id: str
    moment: str
    fingerprint: str
    number: int
    idempotency_key: str
    possible_duplicate: bool
    reserved_usd: float | None
    task_state: TaskState
    not_before: str | None
    failure: Failure | None


class Totals(Struct, frozen=True):
    """Money in USD, of a job over all its runs or of one run.

    `spent_usd` is what counts against a budget: settled answers, lost answers and open requests alike. Parts of it:
    `images_usd` paid for the `images` that were stored, `useless_usd` for answers without a usable image,
    `unknown_usd` what lost answers may have cost. `maybe_twice_usd` is what was sent again after a lost answer,
    whatever came of it. `refused` counts requests that the provider's rules refused, for nothing.
    """

    attempts: int = 0
    spent_usd: float = 0.0
    unknown_usd: float = 0.0
    maybe_twice_usd: float = 0.0
    images: int = 0
    images_usd: float = 0.0
    useless_usd: float = 0.0
    refused: int = 0


class TaskView(Struct, frozen=True):
    """A task as it is read: the fields of `status --tasks --json` first, then what a report adds.

    `made` is when the request that brought the image was sent (UTC), `seconds` how long its answer took.
    """

    task_id: str
    prompt_id: str
    state: str
    failure_class: str | None
    reason: str | None
    attempts: int
    file: str | None
    sha256: str | None
    cost_usd: float | None
    fingerprint: str
    not_before: str | None
    request: ImageRequest
    tags: tuple[str, ...]
    variables: Mapping[str, str]
    width: int | None
    height: int | None
    size_bytes: int | None
    made: str | None = None
    seconds: float | None = None

    @property
    def lost(self) -> bool:
        """Whether the image was stored, but a run found its file gone or changed; `reason` says which."""
        return self.state == TaskState.STORED and self.reason is not None

    def as_json(self) -> JsonObject:
        """The object of `status --tasks --json`."""
        return {
            "task_id": self.task_id,
            "prompt_id": self.prompt_id,
            "state": self.state,
            "class": self.failure_class,
            "reason": self.reason,
            "attempts": self.attempts,
            "file": self.file,
            "sha256": self.sha256,
            "cost_usd": self.cost_usd,
            "fingerprint": self.fingerprint,
            "not_before": self.not_before,
        }


class AttemptView(Struct, frozen=True):
    """An attempt as it is read: the fields of `status --attempts --json`."""

    attempt_id: str
    task_id: str
    number: int
    state: AttemptState
    failure_class: str | None
    reason: str | None
    http_status: int | None
    request_id: str | None
    started: str
    seconds: float | None
    cost_usd: float | None
    possible_duplicate: bool

    def as_json(self) -> JsonObject:
        """The object of `status --attempts --json`."""
        return {
            "attempt_id": self.attempt_id,
            "task_id": self.task_id,
            "number": self.number,
            "state": self.state,
            "class": self.failure_class,
            "reason": self.reason,
            "http_status": self.http_status,
            "request_id": self.request_id,
            "started": self.started,
            "seconds": self.seconds,
            "cost_usd": self.cost_usd,
            "possible_duplicate": self.possible_duplicate,
        }
