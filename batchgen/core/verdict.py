"""What `verify` finds: the ledger, the images and their sidecars, compared with each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchgen.core.types import JsonObject

NAMES_KEPT = 200
"""Of each kind of finding; more are counted, and nobody reads them."""


@dataclass(slots=True)
class Finding:
    """One kind of finding: how many, and the first of them."""

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Take one in."""
        self.count += 1
        if len(self.names) < NAMES_KEPT:
            self.names.append(name)


@dataclass(slots=True)
class Verdict:
    """A job's folder, checked. Places are relative to it.

    `ledger` is what is wrong with the ledger, "" when it is whole; `kept_aside` is where a damaged one lies after a
    repair, with `salvaged` rows taken over, and `fetched` says that its copy in the object store took its place. `unnoted` images are whole, but not on the ledger. `foreign` files are
    not batchgen's, and left alone. `requeued` are tasks whose images the next run buys again. `forgotten` are runs
    that the ledger did not know, with `replayed` requests that brought no image noted again from their logs.
    """

    job: str
    repair: bool
    images: int = 0
    missing: Finding = field(default_factory=Finding)
    altered: Finding = field(default_factory=Finding)
    without_sidecar: Finding = field(default_factory=Finding)
    unnoted: Finding = field(default_factory=Finding)
    foreign: Finding = field(default_factory=Finding)
    requeued: Finding = field(default_factory=Finding)
    forgotten: Finding = field(default_factory=Finding)
    ledger: str = ""
    kept_aside: str = ""
    fetched: bool = False
    salvaged: int = 0
    replayed: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong, or everything was repaired without a loss."""
        lost = self.missing.count + self.altered.count
        mended = self.unnoted.count + self.without_sidecar.count + self.forgotten.count + bool(self.ledger)
        return not lost if self.repair else not (lost + mended)

    def as_json(self) -> JsonObject:
        """The object that `verify --json` prints."""
        return {
            "job": self.job,
            "sound": self.sound,
            "repair": self.repair,
            "images": self.images,
            "ledger": self.ledger or None,
            "kept_aside": self.kept_aside or None,
            "salvaged": self.salvaged,
            "fetched": self.fetched,
            "replayed": self.replayed,
            **{name: [*finding.names] for name, finding in self.findings().items()},
            "counts": {name: finding.count for name, finding in self.findings().items()},
        }

    def findings(self) -> dict[str, Finding]:
        """By their names, in the order of their weight."""
        return {
            "missing": self.missing,
            "altered": self.altered,
            "unnoted": self.unnoted,
            "without_sidecar": self.without_sidecar,
            "requeued": self.requeued,
            "forgotten": self.forgotten,
            "foreign": self.foreign,
        }
