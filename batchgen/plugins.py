"""Name -> factory, for what an operator chooses by name: a built-in table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

from batchgen.core.errors import UsageError
from batchgen.core.protocols import Engine, ImageStore, Provider
from batchgen.engines.local import LocalEngine
from batchgen.engines.ray import open_ray
from batchgen.engines.worker import WorkerOpener
from batchgen.manifest.guess import did_you_mean
from batchgen.system.clock import Clock


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an engine may open: a provider here, or what a worker elsewhere opens its own with.

    `store` and `now` are the coordinator's. `cluster` is the address of one, None for one of its own.
    """

    provider: Callable[[], AbstractAsyncContextManager[Provider]]
    worker: Callable[[], AbstractAsyncContextManager[WorkerOpener]]
    store: ImageStore
    now: Clock
    cluster: str | None = None


EngineFactory = Callable[[Surroundings], AbstractAsyncContextManager[Engine]]
"""Opens an engine for the length of a run."""


@asynccontextmanager
async def _local(around: Surroundings) -> AsyncIterator[Engine]:
    async with around.provider() as provider:
        yield LocalEngine(provider, around.store, around.now)


@asynccontextmanager
async def _ray(around: Surroundings) -> AsyncIterator[Engine]:
    async with around.worker() as worker, open_ray(worker, around.store, around.cluster) as engine:
        yield engine


ENGINES: Mapping[str, EngineFactory] = MappingProxyType({"local": _local, "ray": _ray})

KEYLESS = frozenset({"ray"})
"""Engines whose workers find the key where they are: whoever sends them there needs none."""


def engine_factory(name: str) -> EngineFactory:
    """The engine of a name. Raises `UsageError`."""
    if name not in ENGINES:
        raise UsageError(f'there is no engine "{name}" ({did_you_mean(name, ENGINES)})')
    return ENGINES[name]
