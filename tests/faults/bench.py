"""One job at a bench: its manifest, its server's line, a run in this process, and everything that it left."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from batchgen.config.file import load_config
from batchgen.core.events import Event
from batchgen.core.summary import RunSummary
from batchgen.job import Options
from batchgen.ledgers.sqlite import open_ledger
from batchgen.pool.stopping import Stop
from batchgen.reports.status import render_failed
from batchgen.reports.tally import take_tally
from batchgen.run import run_job
from tests.faults.wire import Line
from tests.support.cli import Desk
from tests.support.paid import Till

MONEY = "SELECT paid, cost_usd, reserved_usd, idempotency_key, possible_duplicate FROM attempts ORDER BY rowid"
SPENT = (
    "SELECT coalesce(sum(coalesce(cost_usd, CASE WHEN state IN ('sent', 'received') THEN reserved_usd END)), 0.0)"
    " FROM attempts"
)
"""What the ledger counts as spent, open requests included, as docs/ledger.md says it."""


@dataclass(frozen=True)
class Account(Till):
    """A key, and an address that is not the paid server's."""

    url: str = ""

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return self.url


@dataclass(frozen=True)
class Left:
    """The objects of `status --tasks` and `--attempts`, and the words of `--failed`."""

    tasks: dict[str, dict[str, Any]]
    attempts: list[dict[str, Any]]
    failed: str


@dataclass
class Bench(Desk):
    """A working folder whose provider is a line of raw bytes. Runs take place in this process, `events` are theirs."""

    line: Line = field(default_factory=lambda: Line(""))
    events: list[Event] = field(default_factory=list)

    def configure(self, text: str) -> None:
        """Write the operator's configuration."""
        path = self.folder / "batchgen.yaml"
        path.write_text(text)
        path.chmod(0o644)

    def options(self, **changes: Any) -> Options:  # noqa: ANN401 - whatever Options takes
        """What the command line would say."""
        return Options(load_config(None, self.folder), self.environ, output=self.folder / "output", **changes)

    async def work(
        self,
        notify: Callable[[Event], None] | None = None,
        stop: Stop | None = None,
        **changes: Any,  # noqa: ANN401 - whatever Options takes
    ) -> RunSummary:
        """Run the job once in this process."""

        def observe(event: Event) -> None:
            self.events.append(event)
            if notify is not None:
                notify(event)

        options = self.options(**changes)
        return await run_job(self.folder / "job.yaml", options, observe, stop or Stop())

    def work_alone(self, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - what `work` takes
        """The same from outside of any loop; returns what `run --json` prints, and its exit code as `exit`."""
        return told(anyio.run(lambda: self.work(**changes)))

    def money(self) -> list[dict[str, Any]]:
        """What the ledger says of each attempt's money, in their order."""
        with closing(sqlite3.connect(f"file:{self.job / 'ledger.sqlite'}?mode=ro", uri=True)) as ledger:
            ledger.row_factory = sqlite3.Row
            return [dict(row) for row in ledger.execute(MONEY)]

    def spent_usd(self) -> float:
        """What the ledger counts as spent at this moment; 0 before there is one."""
        path = self.job / "ledger.sqlite"
        if not path.exists():
            return 0.0
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
            return round(float(ledger.execute(SPENT).fetchone()[0]), 6)

    async def left(self) -> Left:
        """What `status` says, all of it in one reading."""
        async with open_ledger(self.job / "ledger.sqlite", readable=True) as ledger:
            return Left(
                {view.task_id: dict(view.as_json()) async for page in ledger.tasks() for view in page},
                [dict(view.as_json()) async for page in ledger.attempts() for view in page],
                render_failed(await take_tally(ledger.tasks())),
            )

    def evidence(self) -> list[bytes]:
        """What is in quarantine."""
        folder = self.job / "state" / "quarantine"
        return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []

    def superseded(self) -> list[bytes]:
        """Paid images that no task shows."""
        return [path.read_bytes() for path in sorted((self.job / "superseded").glob("*.png"))]


def told(summary: RunSummary) -> dict[str, Any]:
    """What `run --json` prints, and the exit code as `exit`."""
    return {**summary.as_json(), "exit": summary.exit_code}


def bench(folder: Path, line: Line, url: str, key: str) -> Bench:
    """A bench in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return Bench(folder, Account(0, key, url), line)
