"""What the operator configured: providers, ceilings, prices and defaults. It names secrets, it never holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from batchgen.catalogue.catalogue import Entry
from batchgen.core.types import Limits
from batchgen.providers.settings import BUILT_IN, ProviderSettings
from batchgen.reports.settings import HeartbeatSettings, Target
from batchgen.system.buckets import PATIENCE_S

FILE_NAME = "batchgen.yaml"


@dataclass(frozen=True, slots=True)
class Config:
    """What the operator configured, over what is built in.

    `path` is the file, None when there is none. `output` is the folder that jobs write into; a relative one in
    the file is relative to the file. `store` is the address of an object store for images, "" for none, and
    `store_options` what it needs to know, without secrets; one that is away is waited for `store_patience_s`. `ray_address` is the cluster of the engine ray, None for one
    of its own. `report` has the keys that the file sets. `notify` is who is told of runs,
    `metrics` the file that Prometheus reads.
    """

    path: Path | None = None
    providers: Mapping[str, ProviderSettings] = field(default_factory=lambda: BUILT_IN)
    catalogue: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    default_limits: Limits = field(default_factory=Limits)
    output: Path = Path("output")
    store: str = ""
    store_options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    store_patience_s: float = PATIENCE_S
    engine: str = "local"
    ray_address: str | None = None
    verify: str = "structure"
    report: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    notify: tuple[Target, ...] = ()
    metrics: Path | None = None
    heartbeat: HeartbeatSettings | None = None
