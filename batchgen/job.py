"""A manifest with everything that surrounds it: the operator's settings, the flags, the job's folder."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.listing import Listing
from batchgen.config.values import Config
from batchgen.core.deadlines import ends_at
from batchgen.core.errors import Problem, StorageError, UsageError
from batchgen.core.limits import LaneLimit, PoolLimits, resolve_limits
from batchgen.core.types import Limits, RetryPolicy
from batchgen.core.values import replace
from batchgen.manifest.job import Manifest
from batchgen.manifest.load import Setting, load_manifest
from batchgen.providers.endpoint import host_of, is_embedded
from batchgen.providers.kept import read_kept
from batchgen.providers.settings import SANDBOX, ProviderSettings
from batchgen.system.clock import Clock, utc_now

if TYPE_CHECKING:
    from batchgen.core.summary import PlanSummary
    from batchgen.pool.night import Night

LEDGER = "ledger.sqlite"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says above manifest and configuration; None leaves a value to them.

    `config_named` is the configuration's file where it was not just found. `store` is the address of an object store
    that the images go to; everything else stays in the local folder. `only` are globs of task ids and `limit` a count of tasks to send. `classes` and `tasks` say what `retry` puts
    back to pending (None: a plain run; empty: everything that can be). `unpriced_usd` is what an image without a
    price is taken to cost. `agreed` is the plan that a person said yes to: no more is sent. `last_sent` is when each
    provider was last asked by this process: its jobs share a rate. `night` is what jobs that run at the same time
    share, and `rank` this one's place in it, 0 first.
    """

    config: Config
    environ: Mapping[str, str]
    config_named: Path | None = None
    output: Path | None = None
    store: str | None = None
    provider: str | None = None
    base_url: str | None = None
    images_per_minute: float | None = None
    concurrency: int | None = None
    budget_usd: float | None = None
    unpriced_usd: float | None = None
    finish_by: str | None = None
    max_attempts: int | None = None
    only: tuple[str, ...] = ()
    limit: int | None = None
    grace_s: float | None = None
    engine: str | None = None
    adopt: bool = False
    retry: RetrySelection | None = None
    agreed: PlanSummary | None = None
    clock: Clock = utc_now
    last_sent: dict[str, str] = field(default_factory=dict)
    night: Night | None = None
    rank: int = 0

    @property
    def folder(self) -> Path:
        """The local folder of all jobs."""
        return self.output or self.config.output

    @property
    def store_url(self) -> str:
        """The object store's prefix of all jobs, "" where images lie in the local folder. A flag is above the file."""
        return self.store or ("" if self.output else self.config.store)

    def command(self, verb: str, manifest: Path) -> str:
        """The command line that goes on with a job: the same places, no one-time choices."""
        words = ["batchgen", verb, str(manifest)]
        named = {
            "--output": self.store or self.output,
            "--config": self.config_named,
            "--provider": self.provider,
            "--base-url": self.base_url,
        }
        for name, value in named.items():
            if value is not None:
                words += [name, str(value)]
        return shlex.join(words)


@dataclass(frozen=True, slots=True)
class RetrySelection:
    """What `retry` names: failure classes and globs of task ids, both empty for all; `run` sends it at once."""

    classes: frozenset[str] = frozenset()
    tasks: tuple[str, ...] = ()
    run: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """A manifest, read, with its effective limits and the folder that it writes into."""

    manifest: Manifest
    options: Options
    settings: ProviderSettings
    folder: Path
    limits: Limits
    retry: RetryPolicy
    notices: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """The job's name; a rehearsal on the sandbox has its own."""
        return self.folder.name

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.folder / LEDGER

    @property
    def store(self) -> str:
        """Where its images lie in an object store, "" where they lie in the folder."""
        url = self.options.store_url
        return f"{url}/{self.name}" if url else ""

    @property
    def runs(self) -> Path:
        """Where each run leaves its log."""
        return self.folder / "runs"

    @property
    def has_ledger(self) -> bool:
        """Whether the job has run before. Raises `StorageError` when nobody may tell."""
        try:
            return self.ledger.exists()
        except OSError as error:
            raise StorageError(
                f"{self.ledger}: cannot be read ({error.strerror}); run as the user who began the job"
            ) from error

    @property
    def manifest_name(self) -> str:
        """The manifest's path relative to the folder: it stays true when both are moved together."""
        return os.path.relpath(self.manifest.path.absolute(), self.folder.absolute())

    @property
    def keeps_partials(self) -> bool:
        """Whether partial images of streamed answers are to be kept; the manifest's word is above the operator's."""
        asked: Mapping[str, object] = {**self.options.config.report, **self.manifest.report}
        return asked.get("partials") is True

    @property
    def wants_thumbnails(self) -> bool:
        """Whether the report gets small copies of the images; the manifest's word is above the operator's."""
        asked: Mapping[str, object] = {**self.options.config.report, **self.manifest.report}
        return asked.get("thumbnails") is not False

    def warnings(self) -> list[Problem]:
        """What the manifest says that is right, but does not work now."""
        if self.options.finish_by is None and (past := self.past_end):
            return [self.manifest.warning(past, "limits", "finish_by")]
        return []

    def ends_at(self) -> datetime | None:
        """The moment after which a run that begins now sends nothing, None without one."""
        now = self.options.clock().astimezone()
        return ends_at(self.limits, now, datetime.astimezone)

    @property
    def past_end(self) -> str:
        """What to say of a `finish_by` that is past, "" when there is none."""
        moment = self.ends_at()
        if moment is None or moment > self.options.clock():
            return ""
        return f"finish_by {self.limits.finish_by} is past, so a run sends nothing (write a later one, or remove it)"

    @property
    def embedded(self) -> bool:
        """Whether the sandbox is served inside this process."""
        return is_embedded(self.settings, self.options.base_url)

    def pool_limits(self, models: Mapping[str, int]) -> tuple[PoolLimits, list[str]]:
        """The bounds for tasks of these models, with notices about values that were lowered."""
        return resolve_limits(self.limits, list(models), *self.ceilings)

    @property
    def ceilings(self) -> tuple[LaneLimit, list[LaneLimit]]:
        """The operator's for the provider as a whole, and for groups of its models."""
        settings = self.settings
        whole = LaneLimit((), settings.images_per_minute, settings.concurrency)
        return whole, [LaneLimit(c.models, c.images_per_minute, c.concurrency) for c in settings.ceilings]


def load_job(path: Path, options: Options) -> Job:
    """Read a manifest and settle what holds for it. Raises `UsageError`, `ProblemsError`."""
    config = options.config
    catalogue = Catalogue.builtin().with_entries(config.catalogue)
    setting = Setting(
        catalogue=catalogue,
        providers=config.providers,
        today=options.clock().date(),
        provider=options.provider,
        default_limits=config.default_limits,
        dialects={name: settings.dialect for name, settings in config.providers.items()},
    )
    manifest = load_manifest(path, setting)
    settings = config.providers.get(manifest.provider) or config.providers["cometapi"]
    manifest = replace(manifest, setting=replace(setting, listing=kept_listing(settings, options)))
    rehearsal = manifest.provider == SANDBOX != manifest.declared_provider
    folder = options.folder / (manifest.job + (".sandbox" if rehearsal else ""))
    retry = manifest.retry
    if options.max_attempts is not None:
        retry = replace(retry, max_attempts=options.max_attempts)
    return Job(manifest, options, settings, folder, _limits(manifest.limits, options), retry)


def kept_listing(settings: ProviderSettings, options: Options) -> Listing | None:
    """What this provider said of its models when it was last asked; None for never, or at another host."""
    try:
        host = host_of(settings, options.environ, base_url=options.base_url)
    except UsageError:
        return None  # whoever needs the address says what is wrong with it
    listing = read_kept(options.folder, settings.name)
    return listing if listing is not None and listing.host == host else None


def _limits(limits: Limits, options: Options) -> Limits:
    """The manifest's limits with the flags above them. The run's own budget is beside the job's, not above it."""
    return replace(
        limits,
        images_per_minute=options.images_per_minute or limits.images_per_minute,
        concurrency=options.concurrency or limits.concurrency,
        finish_by=options.finish_by or limits.finish_by,
        max_duration_s=None if options.finish_by else limits.max_duration_s,
    )
