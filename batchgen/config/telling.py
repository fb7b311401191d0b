"""The part of `batchgen.yaml` that says who is told of runs: its shapes, and the settings that come of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from batchgen.config.fields import Variable
from batchgen.manifest.fields import Duration, Shape, fault
from batchgen.reports.settings import HEARTBEAT_S, STALLED_S, HeartbeatSettings, Kind, Target, url_fault

_ADDRESS = re.compile(r"[A-Za-z0-9+.-]{1,20}://\S+")
_KINDS = ", ".join(Kind)


def _kind(value: object) -> object:
    if value not in set(Kind):
        raise fault(f"`on` lists what is told (write one or more of {_KINDS})")
    return Kind(str(value))


def _mapping(value: object) -> object:
    """A mapping. What is written instead is not repeated: it may be an address with a secret in it."""
    if not isinstance(value, dict):
        raise fault(
            "this must be a mapping (write {url_env: NOTIFY_URL}, the name of the variable with the address)"
        )
    return value


def _list(value: object) -> object:
    if not isinstance(value, list):
        raise fault("`notify` is a list (write [{url_env: NOTIFY_URL}])")
    return value


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise fault("`url` is no address as apprise has them (write one such as json://127.0.0.1:8080/hook)")
    return value


def _web_address(value: str) -> str:
    if wrong := url_fault(value):
        raise fault(f"`url`: {wrong}")
    return value


OneKind = Annotated[Any, BeforeValidator(_kind), WithJsonSchema({"enum": list(Kind)})]


class TargetShape(Shape):
    """Where notifications go."""

    url: Annotated[str, AfterValidator(_address)] | None = Field(
        None,
        description="An address as apprise has them; only where nothing in it is secret.",
        examples=["json://127.0.0.1:8080/hook"],
    )
    url_env: Variable | None = Field(
        None,
        description="The name of the environment variable that holds the address, never the address itself.",
        examples=["NOTIFY_URL"],
    )
    on: list[OneKind] | None = Field(
        None, description="What is told; everything if it is left out.", examples=[["failed", "stopped"]]
    )
    stalled_after: Duration = Field(
        STALLED_S,
        description="How long nothing may happen, while work is left, before it is told.",
        examples=["20m"],
    )

    @model_validator(mode="after")
    def _one_address(self) -> TargetShape:
        if (self.url is None) == (self.url_env is None):
            raise fault(
                "a target has either `url_env` or `url` (write url_env: NOTIFY_URL, and the address there)"
            )
        if self.on == []:
            raise fault(f"`on` is empty (write one or more of {_KINDS}, or remove it for all)", "on")
        return self

    def settings(self) -> Target:
        """What it comes to."""
        on = frozenset(Kind) if self.on is None else frozenset(self.on)
        return Target(self.url, self.url_env, on, self.stalled_after)


class MetricsShape(Shape):
    """Where metrics go."""

    textfile: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="A file for the textfile collector of Prometheus's node_exporter; it ends in .prom.",
        examples=["batchgen.prom"],
    )

    @model_validator(mode="after")
    def _collected(self) -> MetricsShape:
        if self.textfile is not None and not self.textfile.endswith(".prom"):
            raise fault("node_exporter reads only files that end in .prom (write batchgen.prom)", "textfile")
        return self


class HeartbeatShape(Shape):
    """Who is given a sign of life."""

    url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        None,
        description="A web address to be asked; only where nothing in it is secret.",
        examples=["http://127.0.0.1:8080/alive"],
    )
    url_env: Variable | None = Field(
        None,
        description="The name of the environment variable that holds the address, never the address itself.",
        examples=["HEARTBEAT_URL"],
    )
    file: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="A file that is replaced by the present moment, relative to this one.",
        examples=["/run/batchgen/alive"],
    )
    every: Duration = Field(HEARTBEAT_S, description="How often a sign of life is given.", examples=["60s"])
    suffixes: bool = Field(
        default=False,
        description="Whether /start and /fail follow the address at the beginning and at an end that was not good.",
        examples=[False],
    )

    @model_validator(mode="after")
    def _anything(self) -> HeartbeatShape:
        if self.url is not None and self.url_env is not None:
            raise fault("`url` and `url_env` exclude each other (keep one of the two)", "url")
        if self.url is None and self.url_env is None and self.file is None:
            raise fault("a heartbeat needs `url_env`, `url` or `file` (write url_env: HEARTBEAT_URL)")
        return self

    def settings(self, folder: Path) -> HeartbeatSettings:
        """What it comes to; a relative file is relative to the configuration's folder."""
        file = None if self.file is None else folder / self.file
        return HeartbeatSettings(self.url, self.url_env, file, self.every, self.suffixes)


Targets = Annotated[list[Annotated[TargetShape, BeforeValidator(_mapping)]], BeforeValidator(_list)]
OneHeartbeat = Annotated[HeartbeatShape, BeforeValidator(_mapping)]
