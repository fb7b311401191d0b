"""The operator's `batchgen.yaml`: providers, ceilings, prices and defaults. It names secrets, it never holds them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from batchgen.catalogue.catalogue import Catalogue, Entry
from batchgen.core.errors import Problem, ProblemsError, UsageError
from batchgen.core.naming import id_fault, printable
from batchgen.core.types import Limits
from batchgen.manifest.document import Document, MapNode, Node, read_document
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.limits import limits_of
from batchgen.manifest.scalars import describe
from batchgen.manifest.schema import Duration, Report, Shape, fault
from batchgen.manifest.schema import Limits as LimitsShape
from batchgen.manifest.translate import check_parts
from batchgen.providers.settings import BUILT_IN, REQUEST_DEADLINE_S, SANDBOX, Ceiling, ProviderSettings

FILE_NAME = "batchgen.yaml"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Config:
    """What the operator configured, over what is built in.

    `path` is the file, None when there is none. `output` is the folder that jobs write into; a relative one in
    the file is relative to the file. `report` has the keys that the file sets. `notify` and `metrics` are empty in
    this version, which refuses values for them.
    """

    path: Path | None = None
    providers: Mapping[str, ProviderSettings] = field(default_factory=lambda: BUILT_IN)
    catalogue: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    default_limits: Limits = field(default_factory=Limits)
    output: Path = Path("output")
    engine: str = "local"
    verify: str = "structure"
    report: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    notify: tuple[str, ...] = ()
    metrics: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def load_config(explicit: Path | None, start: Path) -> Config:
    """The configuration of `explicit`, else of the nearest `batchgen.yaml` from `start` upwards, else the defaults.

    Raises `ProblemsError` with everything that is wrong, and `UsageError` when the file is missing or others than
    its owner may write it: it decides where keys are sent.
    """
    path = explicit or _nearest(start)
    if path is None:
        return Config()
    _check_mode(path)
    return _Reading(path, read_document(path)).config()


def _nearest(start: Path) -> Path | None:
    folders = (start, *start.resolve().parents)
    return next((found for folder in folders if (found := folder / FILE_NAME).is_file()), None)


def _check_mode(path: Path) -> None:
    # Windows has no such bits; its access lists are the folder's affair.
    if os.name == "posix" and path.exists() and path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(
            f"{path}: others than its owner may write this file, which decides where keys are sent "
            f"(run: chmod go-w {path})"
        )


def _base_url(value: str) -> str:
    """A provider's address. The text of a wrong one is not repeated: it may hold a key."""
    if wrong := _url_fault(value):
        raise fault(f"`base_url` {wrong}")
    return value.rstrip("/")


def _url_fault(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not value.isascii() or not value.isprintable() or " " in value:
        return "is no web address (write one such as https://images.example.com/v1)"
    if "@" in parts.netloc:
        return "must not hold a user or a key (name the key's variable in key_env)"
    if "?" in value or "#" in value:
        return "must not have a query or fragment (end it after the path)"
    return None


def _variable(value: str) -> str:
    """The name of a variable. What is written instead is not repeated: it may be a key."""
    if not _VARIABLE.fullmatch(value):
        raise fault(
            "`key_env` must be the name of an environment variable, never the key itself (write GATEWAY_KEY)"
        )
    return value


Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Parallel = Annotated[int, Field(ge=1, le=1024)]


class CeilingShape(Shape):
    """The ceiling of a model, or of several that share it."""

    images_per_minute: Rate | None = Field(None, examples=[20])
    concurrency: Parallel | None = Field(None, examples=[8])


class ProviderShape(Shape):
    """One provider."""

    base_url: Annotated[str, AfterValidator(_base_url)] | None = Field(
        None, examples=["https://images.example.com/v1"]
    )
    key_env: Annotated[str, AfterValidator(_variable)] | None = Field(None, examples=["GATEWAY_KEY"])
    dialect: Literal["openai"] = Field("openai", examples=["openai"])
    idempotent: bool = Field(default=False, examples=[False])
    trust_env: bool = Field(default=False, examples=[False])
    images_per_minute: Rate | None = Field(None, examples=[120])
    concurrency: Parallel | None = Field(None, examples=[32])
    deadline: Duration = Field(REQUEST_DEADLINE_S, examples=["600s"])
    models: dict[str, CeilingShape] = Field(
        default_factory=dict, examples=[{"gpt-image-2": {"images_per_minute": 20}}]
    )


class EntryShape(Shape):
    """A model of the operator's."""

    family: str | None = Field(None, examples=["gpt-image-2"])
    price_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(None, examples=[0.04])


class MetricsShape(Shape):
    """Where metrics go."""

    textfile: str | None = Field(None, examples=["batchgen.prom"])


class ConfigShape(Shape):
    """The file, all but what is checked entry by entry."""

    providers: dict[str, Any] = Field(default_factory=dict, examples=[{"cometapi": {"images_per_minute": 120}}])
    catalogue: dict[str, Any] = Field(default_factory=dict, examples=[{"my-model": {"family": "gpt-image-2"}}])
    defaults: LimitsShape = Field(default=LimitsShape(), examples=[{"concurrency": 8}])
    output: Annotated[str, Field(min_length=1)] = Field("output", examples=["output"])
    engine: Literal["local"] = Field("local", examples=["local"])
    verify: Literal["structure", "decode"] = Field("structure", examples=["structure"])
    report: Report = Field(default=Report(), examples=[{"thumbnails": True}])
    notify: list[Any] = Field(default_factory=list, examples=[[]])
    metrics: MetricsShape = Field(default=MetricsShape(), examples=[{"textfile": None}])


class _Reading:
    """One reading of one file."""

    def __init__(self, path: Path, document: Document) -> None:
        self._path = path
        self._document = document
        self._problems: list[Problem] = list(document.problems)

    def config(self) -> Config:
        root = self._mapping(self._document.root)
        shape, problems = check_parts(ConfigShape, root, self._document, ConfigShape())
        self._problems += problems
        self._refuse_later(root, shape)
        providers = dict(BUILT_IN)
        for name, node in self._entries(root, "providers"):
            providers[name] = self._provider(name, node, root)
        catalogue = {name: self._entry(name, node) for name, node in self._entries(root, "catalogue")}
        if self._problems:
            raise ProblemsError(self._problems)
        return Config(
            path=self._path,
            providers=MappingProxyType(providers),
            catalogue=MappingProxyType(catalogue),
            default_limits=limits_of(shape.defaults, Limits()),
            output=self._path.parent / shape.output,
            engine=shape.engine,
            verify=shape.verify,
            report=MappingProxyType(shape.report.model_dump(exclude_none=True)),
        )

    def _mapping(self, root: Node | None) -> MapNode:
        if root is None:
            return MapNode(1, 1)
        if not isinstance(root, MapNode):
            message = f"a configuration is a mapping, but {describe(root)} (write `providers:` and the like)"
            raise ProblemsError([*self._problems, self._document.problem(root, message)])
        return root

    def _refuse_later(self, root: MapNode, shape: ConfigShape) -> None:
        if shape.notify:
            self._say(
                root.values["notify"], "this version of batchgen cannot send notifications yet (write [])"
            )
        if shape.metrics.textfile is not None:
            self._say(
                root.values["metrics"], "this version of batchgen cannot write metrics yet (remove `textfile`)"
            )

    def _entries(self, root: MapNode, key: str) -> Iterator[tuple[str, MapNode]]:
        node = root.values.get(key)
        for name, entry in node.values.items() if isinstance(node, MapNode) else ():
            if isinstance(entry, MapNode):
                yield name, entry
            else:
                self._say(entry, f"`{key}.{printable(name)}` must be a mapping, but {describe(entry)}")

    def _provider(self, name: str, node: MapNode, root: MapNode) -> ProviderSettings:
        listed = root.values["providers"]
        assert isinstance(listed, MapNode)  # the entries came out of it
        if message := id_fault(name):
            self._say(listed.keys[name], f"a provider's name {message}")
        shape, problems = check_parts(ProviderShape, node, self._document, ProviderShape())
        self._problems += problems
        known = BUILT_IN.get(name)
        self._check_keys(name, node, listed, known)
        if shape.idempotent:
            self._say(
                node.values["idempotent"],
                "this version of batchgen cannot rely on a provider's idempotency yet: it sends a lost answer once more "
                "with the same key, and counts it as possibly paid twice (write false)",
            )
        ceilings = self._ceilings(node, shape)
        base = known or ProviderSettings(name, base_url=shape.base_url or "", key_env=())
        given = {key: getattr(shape, key) for key in shape.model_fields_set & _SAME_NAMED}
        return replace(
            base,
            **given,
            base_url=shape.base_url or base.base_url,
            key_env=(shape.key_env,) if shape.key_env else base.key_env,
            ceilings=ceilings,
            deadline_s=shape.deadline,
        )

    def _check_keys(self, name: str, node: MapNode, listed: MapNode, known: ProviderSettings | None) -> None:
        if name == SANDBOX:
            for key in ("base_url", "key_env"):
                if key in node.keys:
                    self._say(
                        node.keys[key],
                        f"the sandbox has no `{key}` (remove it, or give the provider another name)",
                    )
        elif known is None:
            missing = [key for key in ("base_url", "key_env") if key not in node.keys]
            if missing:
                meant = did_you_mean(name, BUILT_IN)
                needs = " and ".join(f"`{key}`" for key in missing)
                self._say(
                    listed.keys[name],
                    f"the provider {printable(name)} needs {needs} (write them under it; {meant})",
                )

    def _ceilings(self, node: MapNode, shape: ProviderShape) -> tuple[Ceiling, ...]:
        models = node.values.get("models")
        if not isinstance(models, MapNode):
            return ()
        seen: dict[str, str] = {}
        ceilings = []
        for key, limit in shape.models.items():
            names = tuple(name.strip() for name in key.split(","))
            for name in names:
                if not name:
                    self._say(
                        models.keys[key], "a model's name is missing between commas (write model-a, model-b)"
                    )
                elif name in seen:
                    self._say(
                        models.keys[key],
                        f"{printable(name)} has a ceiling already in `{printable(seen[name])}` (keep one)",
                    )
                seen[name] = key
            ceilings.append(Ceiling(names, limit.images_per_minute, limit.concurrency))
        return tuple(ceilings)

    def _entry(self, name: str, node: MapNode) -> Entry:
        shape, problems = check_parts(EntryShape, node, self._document, EntryShape())
        self._problems += problems
        entry = Entry(shape.family, shape.price_usd)
        try:
            Catalogue.builtin().with_entries({name: entry})
        except ValueError as error:
            self._say(node.values["family"], str(error))
        return entry

    def _say(self, node: Node, message: str) -> None:
        self._problems.append(self._document.problem(node, message))


_SAME_NAMED = frozenset({"dialect", "trust_env", "images_per_minute", "concurrency"})
