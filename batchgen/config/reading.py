"""The operator's `batchgen.yaml` -> its `Config`, with all that is wrong in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from batchgen.catalogue.catalogue import Catalogue, Entry
from batchgen.catalogue.dialects import DIALECTS, Dialect
from batchgen.catalogue.load import FILES, REQUEST_ITSELF, parameter_of
from batchgen.catalogue.model import Edits, Model, Parameter, is_model_name
from batchgen.config.dialects import DialectShape
from batchgen.config.models import EditsShape, EntryShape, ParameterShape
from batchgen.config.shapes import ConfigShape, ObjectsShape, ProviderShape
from batchgen.config.values import Config
from batchgen.core.errors import Problem, ProblemsError
from batchgen.core.naming import id_fault, printable
from batchgen.core.types import Limits
from batchgen.core.values import replace
from batchgen.manifest.document import Document, ListNode, MapNode, Node, Scalar, read_document
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.limits import limits_of
from batchgen.manifest.scalars import describe
from batchgen.manifest.translate import check_parts
from batchgen.providers.settings import BUILT_IN, SANDBOX, Ceiling, ProviderSettings
from batchgen.system.addresses import is_url


def read_config(path: Path) -> Config:
    """Read a configuration. Raises `ProblemsError` with everything that is wrong."""
    return _Reading(path, read_document(path)).config()


class _Reading:
    """One reading of one file."""

    def __init__(self, path: Path, document: Document) -> None:
        self._path = path
        self._document = document
        self._problems: list[Problem] = list(document.problems)
        self._known = Catalogue.builtin()

    def config(self) -> Config:
        root = self._mapping(self._document.root)
        shape, problems = check_parts(ConfigShape, root, self._document, ConfigShape())
        self._problems += problems
        providers = dict(BUILT_IN)
        for name, node in self._entries(root, "providers"):
            providers[name] = self._provider(name, node, root)
        catalogue = {name: self._entry(name, node, root) for name, node in self._entries(root, "catalogue")}
        if self._problems:
            raise ProblemsError(self._problems)
        return Config(
            path=self._path,
            providers=MappingProxyType(providers),
            catalogue=MappingProxyType(catalogue),
            default_limits=limits_of(shape.defaults, Limits()),
            output=self._path.parent / ("output" if is_url(shape.output) else shape.output),
            store=shape.output if is_url(shape.output) else "",
            store_options=MappingProxyType(_store_options(shape.objects)),
            store_patience_s=shape.objects.patience,
            engine=shape.engine,
            ray_address=shape.ray.address,
            verify=shape.verify,
            report=MappingProxyType(shape.report.model_dump(exclude_none=True)),
            notify=tuple(target.settings() for target in shape.notify),
            metrics=self._path.parent / shape.metrics.textfile if shape.metrics.textfile else None,
            heartbeat=None if shape.heartbeat is None else shape.heartbeat.settings(self._path.parent),
        )

    def _mapping(self, root: Node | None) -> MapNode:
        if root is None:
            return MapNode(1, 1)
        if not isinstance(root, MapNode):
            message = f"a configuration is made of lines such as `output: output`, but {describe(root)} (write `providers:` and the like)"
            raise ProblemsError([*self._problems, self._document.problem(root, message)])
        return root

    def _entries(self, root: MapNode, key: str) -> Iterator[tuple[str, MapNode]]:
        node = root.values.get(key)
        for name, entry in node.values.items() if isinstance(node, MapNode) else ():
            if isinstance(entry, MapNode):
                yield name, entry
            else:
                self._say(
                    entry, f"`{key}.{printable(name)}` must be lines of `name: value`, but {describe(entry)}"
                )

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
            dialect=self._dialect(node.values.get("dialect")) or base.dialect,
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

    def _dialect(self, node: Node | None) -> Dialect | None:
        """The dialect of a provider: one by its name, or one like another with what differs. None for none."""
        if node is None:
            return None
        if isinstance(node, Scalar):
            return self._known_dialect(node)
        if not isinstance(node, MapNode):
            self._say(
                node,
                "`dialect` is a name, or lines that say what differs (write dialect: openai, or `like: openai` and what differs)",
            )
            return None
        shape, problems = check_parts(DialectShape, node, self._document, DialectShape())
        self._problems += problems
        like = node.values.get("like")
        base = self._known_dialect(like) if isinstance(like, Scalar) else None
        given: dict[str, Any] = {
            key: _frozen(getattr(shape, key)) for key in shape.model_fields_set if key != "like"
        }
        return replace(base or DIALECTS["openai"], **given)

    def _known_dialect(self, node: Scalar) -> Dialect | None:
        found = DIALECTS.get(node.text)
        if found is None:
            shown = printable(node.text)
            self._say(node, f'`dialect` is "{shown}" ({did_you_mean(node.text, DIALECTS)})')
        return found

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
                elif not is_model_name(name):
                    self._say(models.keys[key], _no_model(name))
                elif name in seen:
                    self._say(
                        models.keys[key],
                        f"{printable(name)} has a ceiling already in `{printable(seen[name])}` (keep one)",
                    )
                seen[name] = key
            ceilings.append(Ceiling(names, limit.images_per_minute, limit.concurrency))
        return tuple(ceilings)

    def _entry(self, name: str, node: MapNode, root: MapNode) -> Entry:
        if not is_model_name(name):
            self._say(_key_of(root.values["catalogue"], name), _no_model(name))
        shape, problems = check_parts(EntryShape, node, self._document, EntryShape())
        self._problems += problems
        entry = Entry(
            shape.family,
            shape.price_usd,
            good_for=shape.good_for,
            prompt_limit=shape.prompt_limit,
            retires=date.fromisoformat(shape.retires) if shape.retires else None,
            replacement=shape.replacement,
            parameters=MappingProxyType(self._parameters(_value_of(node, "parameters"), shape.parameters)),
        )
        if "edits" in node.values:
            entry = replace(entry, edits=self._edits(node.values["edits"], shape.edits))
        try:
            before = self._known.before(name, entry)
        except ValueError as error:
            self._say(node.values["family"], str(error))
        else:
            self._check_entry(node, entry, before)
        return entry

    def _check_entry(self, node: MapNode, entry: Entry, before: Model) -> None:
        """What is wrong with an entry over the model that it changes."""
        for name in entry.parameters:
            if entry.parameters[name] is None and name not in before.parameters:
                advice = did_you_mean(name, before.parameters) if before.parameters else "remove it"
                self._say(
                    _key_of(_value_of(node, "parameters"), name),
                    f"there is no parameter `{printable(name)}` to take away ({advice})",
                )
        if isinstance(entry.edits, Edits):
            taken = {*before.parameters, *entry.parameters}
            without = _value_of(node, "edits", "without")
            for item in without.items if isinstance(without, ListNode) else ():
                if isinstance(item, Scalar) and item.text not in taken:
                    self._say(
                        item,
                        f"there is no parameter `{printable(item.text)}` to leave out ({did_you_mean(item.text, taken)})",
                    )

    def _edits(self, node: Node, shape: EditsShape | None) -> Edits | None:
        if shape is None:
            return None
        further = self._parameters(_value_of(node, "parameters"), shape.parameters)
        return Edits(
            shape.references,
            shape.mask,
            shape.image_tokens,
            frozenset(shape.without),
            MappingProxyType({name: parameter for name, parameter in further.items() if parameter is not None}),
        )

    def _parameters(
        self, node: Node, shapes: Mapping[str, ParameterShape | None]
    ) -> dict[str, Parameter | None]:
        found: dict[str, Parameter | None] = {}
        for name, described in shapes.items():
            if name in _OWN_FIELDS:
                self._say(_key_of(node, name), f"`{name}` is no parameter, it has its own place (remove it)")
            elif not is_model_name(name):
                self._say(
                    _key_of(node, name),
                    f'"{printable(name)}" is no name of a parameter (write one without blanks, such as seed)',
                )
            else:
                found[name] = (
                    None if described is None else parameter_of(described.model_dump(exclude_none=True))
                )
        return found

    def _say(self, node: Node, message: str) -> None:
        self._problems.append(self._document.problem(node, message))


_SAME_NAMED = frozenset({"trust_env", "images_per_minute", "concurrency"})
_OWN_FIELDS = REQUEST_ITSELF | FILES | {"extra"}


def _no_model(name: str) -> str:
    return f'"{printable(name)}" is no name of a model (write one such as gpt-image-2)'


def _key_of(node: Node, name: str) -> Node:
    return node.keys[name] if isinstance(node, MapNode) else node


def _value_of(node: Node, *path: str) -> Node:
    for part in path:
        node = node.values.get(part, node) if isinstance(node, MapNode) else node
    return node


def _frozen(value: object) -> object:
    """A value of a shape as a dialect holds it."""
    if isinstance(value, list):
        return frozenset(value)
    return MappingProxyType(value) if isinstance(value, dict) else value


def _store_options(shape: ObjectsShape) -> dict[str, str]:
    """As the store's client takes them."""
    told = shape.model_dump(exclude_none=True, exclude={"patience"})
    return {key: value if isinstance(value, str) else str(value).lower() for key, value in told.items()}
