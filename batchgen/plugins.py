"""Name -> factory, for what an operator chooses by name: a built-in table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from batchgen.core.errors import UsageError
from batchgen.core.protocols import Engine, ImageStore, Provider
from batchgen.engines.local import LocalEngine
from batchgen.manifest.guess import did_you_mean
from batchgen.system.clock import Clock

EngineFactory = Callable[[Provider, ImageStore, Clock], Engine]
"""Makes an engine of what it works with; the clock is the run's."""

ENGINES: Mapping[str, EngineFactory] = MappingProxyType({"local": LocalEngine})


def engine_factory(name: str) -> EngineFactory:
    """The engine of a name. Raises `UsageError`."""
    if name not in ENGINES:
        raise UsageError(f'there is no engine "{name}" ({did_you_mean(name, ENGINES)})')
    return ENGINES[name]
