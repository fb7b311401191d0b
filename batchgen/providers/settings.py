"""What an operator says of a provider: where it is, which key opens it, what it allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from batchgen.catalogue.dialects import DIALECTS, Dialect

REQUEST_DEADLINE_S = 600.0
"""A whole request's deadline: 4K images take five minutes, and a short time-out makes lost answers."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What models that share one limit may do together, over all jobs of a process. None means unbounded."""

    models: tuple[str, ...]
    images_per_minute: float | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One provider as configured. `key_env` are the names of environment variables, the first that is set wins.

    `base_url_env` names a variable that overrides `base_url`, with or without `/v1`. `trust_env` lets the
    proxies of the environment be used.
    """

    name: str
    base_url: str
    key_env: tuple[str, ...]
    base_url_env: str | None = None
    dialect: Dialect = DIALECTS["openai"]
    images_per_minute: float | None = None
    concurrency: int | None = None
    ceilings: tuple[Ceiling, ...] = ()
    deadline_s: float = REQUEST_DEADLINE_S
    trust_env: bool = False


SANDBOX = "sandbox"
"""The embedded provider: it has no address of its own until it is served."""

BUILT_IN: Mapping[str, ProviderSettings] = MappingProxyType(
    {
        "cometapi": ProviderSettings(
            "cometapi",
            base_url="https://api.cometapi.com/v1",
            key_env=("COMETAPI_KEY", "COMETAPI_API_KEY"),
            base_url_env="COMETAPI_BASE_URL",
            dialect=DIALECTS["cometapi"],
        ),
        "openai": ProviderSettings(
            "openai",
            base_url="https://api.openai.com/v1",
            key_env=("OPENAI_API_KEY",),
            base_url_env="OPENAI_BASE_URL",
        ),
        SANDBOX: ProviderSettings(SANDBOX, base_url="", key_env=()),
    }
)
