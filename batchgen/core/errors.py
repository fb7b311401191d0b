"""Every error of batchgen, grouped by what the user can do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from batchgen.core.plain import safe_text

if TYPE_CHECKING:
    from batchgen.core.types import Blob, Failure


class BatchgenError(Exception):
    """The root: its text is one or more lines for people, fit to be printed as it is.

    `exit_code` is what the command ends with.
    """

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a manifest or configuration: `FILE:LINE:COLUMN: message`, lines and columns from 1.

    A table's problem has a row and a column's name instead (`FILE:ROW:COLUMN-NAME`), so `column` may be text.
    A warning does not stop anything.
    """

    file: str
    line: int
    column: int | str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        word = "warning: " if self.warning else ""
        return f"{self.file}:{self.line}:{self.column}: {word}{self.message}"


class UsageError(BatchgenError):
    """Mend the manifest, the configuration or the command; nothing was sent (exit code 2)."""


class NotRunError(UsageError):
    """The job has not run yet: there is nothing to look at."""


class PlanChangedError(UsageError):
    """What a person agreed to is not what would be sent by now; nothing was sent (exit code 3)."""

    exit_code = 3


class ProblemsError(UsageError):
    """All problems of a manifest or configuration, found in one go."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=_place))
        super().__init__("\n".join(map(str, self.problems)))


def _place(problem: Problem) -> tuple[str, int, int]:
    """Where a problem is; those of one row of a table stay as they were found."""
    return problem.file, problem.line, problem.column if isinstance(problem.column, int) else 0


class ListingError(BatchgenError):
    """A provider's list of models could not be read (exit code 2); the text says why and what to do."""


class JobLockedError(BatchgenError):
    """Another run holds the job (exit code 4): wait for it, or end it."""

    exit_code = 4


class StorageError(BatchgenError):
    """The disk or folder cannot be relied on: mend it and run again (exit code 3, `stopped_by: storage`)."""

    exit_code = 3


class LedgerError(StorageError):
    """The ledger cannot be read or trusted; nothing is sent until it can."""


REPAIR = "`batchgen verify MANIFEST --repair` makes a new one from the images and their sidecars, and keeps this one aside."


class LedgerDamagedError(LedgerError):
    """The ledger is gone, empty or damaged: `verify --repair` makes a new one from what lies on the disk.

    `fault` is what is wrong, in one line; the error's text adds what to do.
    """

    def __init__(self, fault: str, advice: str = REPAIR) -> None:
        self.fault = safe_text(fault, printable=True)
        super().__init__(f"{self.fault}. {advice}")


class AttemptError(BatchgenError):
    """An attempt failed; `failure` says how. Raised by providers, turned into a `Failure` by engines.

    `evidence` is what arrived of an answer that was paid for and could not be used: it goes to quarantine.
    """

    def __init__(self, failure: Failure, evidence: Blob = b"") -> None:
        self.failure = failure
        self.evidence = evidence
        super().__init__(failure.reason)


class NotAnImageError(BatchgenError):
    """Bytes that are no whole image of a known type; the text says what they are instead."""
