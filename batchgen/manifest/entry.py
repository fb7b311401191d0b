"""One entry of `prompts` -> a `Prompt`, with everything checked that needs no expansion."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.errors import Problem
from batchgen.core.naming import id_fault, printable
from batchgen.manifest.document import Document, ListNode, MapNode, Node, Scalar
from batchgen.manifest.guess import did_you_mean, nearest
from batchgen.manifest.recipe import UNREAD, Field, Recipe, RequestReader, mentions
from batchgen.manifest.rows import TABLE, EntryTable
from batchgen.manifest.scalars import Kind, describe, is_null, kind_of
from batchgen.manifest.schema import PromptEntry, TableEntry
from batchgen.manifest.tables.table import Table
from batchgen.manifest.template import Template, is_name, parse_template, usable_name
from batchgen.manifest.translate import MOST_REPEATED, check_parts
from batchgen.manifest.values import ListError, is_file, read_values
from batchgen.manifest.variations import MOST_VARIABLES, Exclusion, Value, Variation
from batchgen.manifest.wording import flow

PROMPT = "prompt"
"""The variable that stands for the prompt in `prompt_template`."""
EMPTY_PROMPT = "the prompt is empty (describe the picture)"
MOST_UNEXPANDED = 1000
"""Requests of faulty entries that are checked as well; more faulty entries than this are one mistake."""
NO_VARIATION = Variation()
_WITHOUT_USES = frozenset({"vary", "exclude", "images", "tags", "table", "sheet", "where"})
_UNKNOWN = PromptEntry(id="unknown", prompt="unknown")
_UNKNOWN_TABLE = TableEntry(table="unknown.csv")
MOST_TABLES = 100
"""Tables of one manifest; each is an open file until its rows are read."""
TABLE_KEYS = ("sheet", "where")
"""Keys that say nothing without `table`."""


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """A sound entry. With a `table` it makes tasks for each of its rows, which are counted once they are read."""

    line: int
    id_node: Node
    text_node: Node
    id: Template
    text: Template
    recipe: Recipe
    variation: Variation
    images: int
    tags: tuple[str, ...]
    references: tuple[tuple[Scalar, Template], ...] = ()
    mask: tuple[Scalar, Template] | None = None
    table: Table | None = None

    @property
    def each(self) -> int:
        """How many tasks it makes, or each row of its table."""
        return self.variation.count * self.images

    @property
    def count(self) -> int:
        """How many tasks it makes in all."""
        return self.each if self.table is None else self.each * len(self.table.numbers)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the top of a manifest gives to every entry.

    `recipe` is None when no model is given; `perhaps` are variables that the top may use where it could not be read.
    """

    model: Template
    model_node: Node | None
    fields: Mapping[str, Field]
    wrapper: Template | None
    recipe: Recipe | None
    perhaps: frozenset[str]


class EntryReader:
    """Reads entries one by one; problems go to `report`."""

    def __init__(
        self,
        document: Document,
        folder: Path,
        defaults: Defaults,
        requests: RequestReader,
        report: Callable[[Problem], None],
    ) -> None:
        self._document = document
        self._folder = folder
        self._defaults = defaults
        self._requests = requests
        self._report = report
        self._sound = True
        self._model_missed = False
        self._columns: tuple[str, ...] = ()
        self._tables = 0
        self._ids: dict[str, Node] = {}
        self.unexpanded: list[Recipe] = []

    def read(self, node: Node) -> Prompt | None:
        """The prompt of an entry, None when something is wrong with it."""
        self._sound = True
        if not isinstance(node, MapNode):
            self._say(
                node,
                f"a prompt has a line `id: ...` and a line `prompt: ...`, but {describe(node)} ({_as_prompt(node)})",
            )
            return None
        node = self._with_values(node)
        if TABLE in node.keys and self._tables == MOST_TABLES:
            self._say(
                node.keys[TABLE], f"more than {MOST_TABLES} tables are too many (write several manifests)"
            )
            return None
        rows = EntryTable(node, self._folder) if TABLE in node.keys else None
        if rows is None:
            self._check_without_table(node)
            return self._entry(PromptEntry, _UNKNOWN, _without_table(node), None)
        self._tables += 1
        node = rows.filled()
        for place, message in rows.faults:
            self._say(place, message)
        return self._entry(TableEntry, _UNKNOWN_TABLE, node, rows)

    def _entry(
        self, shape: type[PromptEntry], needed: PromptEntry, node: MapNode, rows: EntryTable | None
    ) -> Prompt | None:
        entry, problems = check_parts(shape, node, self._document, needed)
        for problem in problems:
            self._tell(problem)
        self._columns = () if rows is None else rows.columns
        recipe = self._recipe(node)
        prompt_id, text = self._template(node, "id"), self._template(node, PROMPT)
        variation = self._variation(node)
        references, mask = self._pictures(node)
        if prompt_id is not None:
            self._check_id(prompt_id, variation, node.values["id"])
        if text is not None:
            self._check_text(text, node)
        pictures = references if mask is None else [*references, mask]
        uses = _uses(node, prompt_id, text, recipe)
        uses += [(place, name.names) for place, name in pictures if name.names]
        if rows is None or rows.table is not None:
            self._check_variables(node, variation, uses)
        if not self._sound or not recipe.sound:
            self._set_aside(recipe)
        if not self._sound or prompt_id is None or text is None or recipe.model.faults:
            return None
        return Prompt(
            node.line,
            node.values["id"],
            node.values[PROMPT],
            prompt_id,
            text,
            recipe,
            variation,
            entry.images,
            tuple(entry.tags),
            references,
            mask,
            None if rows is None else self._table(rows, uses),
        )

    def _table(self, rows: EntryTable, uses: Iterable[tuple[Node, tuple[str, ...]]]) -> Table | None:
        table = rows.table
        if table is not None:
            table.used = frozenset(table.columns) & {
                *self._around(),
                *(name for _, names in uses for name in names),
            }
        return table

    def _with_values(self, node: MapNode) -> MapNode:
        """The entry with the values of variables that name a file in their place."""
        vary = node.values.get("vary")
        if not isinstance(vary, MapNode) or not any(map(is_file, vary.values.values())):
            return node
        values = {name: self._listed(value) for name, value in vary.values.items()}
        varied = MapNode(vary.line, vary.column, vary.keys, values)
        return MapNode(node.line, node.column, node.keys, {**node.values, "vary": varied})

    def _listed(self, value: Node) -> Node:
        if not is_file(value):
            return value
        try:
            return read_values(value, self._folder)
        except ListError as error:
            self._say(error.node, str(error))
            return ListNode(value.line, value.column, [Scalar(value.line, value.column, "unread", plain=False)])

    def _check_without_table(self, node: MapNode) -> None:
        for name in TABLE_KEYS:
            if name in node.keys:
                self._say(
                    node.keys[name], f"`{name}` belongs to a table (write `table: products.csv`, or remove it)"
                )

    def _set_aside(self, recipe: Recipe) -> None:
        """A request that is faulty, or of a faulty entry, is still to be checked, as far as that goes."""
        known = bool(self.unexpanded) and self.unexpanded[-1] is recipe
        if not known and len(self.unexpanded) < MOST_UNEXPANDED:
            self.unexpanded.append(recipe)

    def _check_text(self, text: Template, node: MapNode) -> None:
        if not (text.names or text.faults or text.literals[0].strip()):
            self._say(node.values[PROMPT], EMPTY_PROMPT)

    def _recipe(self, node: MapNode) -> Recipe:
        own = given(node, "model")
        request = node.values.get("request")
        if own is None and request is None and self._defaults.recipe is not None:
            return self._defaults.recipe
        faults = self._requests.faults
        fields = self._requests.read(request, self._defaults.fields)
        if self._requests.faults > faults:
            self._sound = False
        if own is not None:
            return Recipe.of(self._template(node, "model") or UNREAD, own, fields)
        if self._defaults.model_node is not None:
            return Recipe.of(self._defaults.model, self._defaults.model_node, fields)
        if not self._model_missed:
            self._model_missed = True
            self._say(node, "`model` is missing (write `model: gpt-image-2` at the top, or in every prompt)")
        return Recipe.of(UNREAD, node, fields)

    def _pictures(
        self, node: MapNode
    ) -> tuple[tuple[tuple[Scalar, Template], ...], tuple[Scalar, Template] | None]:
        """The names of the pictures that go along, and of a mask, which needs one of them."""
        listed = [
            (item, name)
            for item in _scalars(node.values.get("references"))
            if (name := self._text(item)) is not None
        ]
        place = node.values.get("mask")
        name = self._text(place)
        if name is None or not isinstance(place, Scalar):
            return tuple(listed), None
        if given(node, "references") is None:
            self._say(
                node.keys["mask"],
                "a mask says where a picture is painted over, and there is none (add `references: [FILE]`)",
            )
        return tuple(listed), (place, name)

    def _template(self, node: MapNode, key: str) -> Template | None:
        """The text of a key, None when it is none, which is said already."""
        return self._text(node.values.get(key))

    def _text(self, value: Node | None) -> Template | None:
        if not isinstance(value, Scalar) or kind_of(value) is not Kind.TEXT:
            return None
        template = parse_template(value.text)
        for fault in self._unnamed(value.text) or template.faults:
            self._say(value, fault)
        return template

    def _unnamed(self, text: str) -> list[str]:
        """Placeholders that name a column by a name that no placeholder may have."""
        found = [
            name for name in self._columns if not is_name(name) and f"{{{name}}}" in text.replace("{{", "")
        ]
        return [
            f"the column `{printable(name)}` cannot stand in braces, since a variable's name is letters, digits, _ and - "
            f"(rename it in the table, for instance to {usable_name(name)}, and write {{{usable_name(name)}}})"
            for name in found
        ]

    def _variation(self, node: MapNode) -> Variation:
        vary = node.values.get("vary")
        if not isinstance(vary, MapNode) or not vary.values:
            if "exclude" in node.values:
                self._say(node.keys["exclude"], "there is nothing to exclude from (remove it, or add `vary`)")
            return NO_VARIATION
        values = {name: self._values(name, listed) for name, listed in vary.values.items()}
        for name in values:
            self._check_name(vary.keys[name])
        if len(values) > MOST_VARIABLES:
            self._say(vary, f"{len(values)} variables are too many (use at most {MOST_VARIABLES})")
            return Variation(tuple(values), tuple(map(tuple, values.values())))
        excluded = self._exclusions(node, values)
        variation = Variation.of(tuple(values), tuple(values.values()), excluded)
        if variation.count == 0 and excluded:
            self._say(node.keys["exclude"], "`exclude` leaves no combination (remove one of its entries)")
        return variation

    def _values(self, name: str, listed: Node) -> list[Value]:
        values = [Value.of(item) for item in _scalars(listed)]
        seen: dict[str, Value] = {}
        for value in values:
            if seen.setdefault(value.text, value) is not value:
                shown = printable(value.text)
                self._say(value.node, f'`{name}` has "{shown}" twice (remove one of them)')
        return values

    def _check_name(self, key: Scalar) -> None:
        if key.text in self._columns:
            self._say(key, f"`{printable(key.text)}` is a column of the table already (choose another name)")
        elif key.text == PROMPT:
            self._say(
                key, "a variable cannot be called `prompt`, which is the prompt itself (choose another name)"
            )
        elif not is_name(key.text):
            shown = printable(key.text)
            self._say(
                key, f"`{shown}` is no name of a variable (write letters, digits, _ and -, a letter first)"
            )

    def _exclusions(self, node: MapNode, values: Mapping[str, list[Value]]) -> list[Exclusion]:
        listed = node.values.get("exclude")
        items = listed.items if isinstance(listed, ListNode) else []
        found = (self._exclusion(item, values) for item in items)
        return [exclusion for exclusion in found if exclusion]

    def _exclusion(self, node: Node, values: Mapping[str, list[Value]]) -> Exclusion | None:
        if not isinstance(node, MapNode) or not node.values:
            self._say(node, "this excludes everything (name at least one variable: {color: red})")
            return None
        names = list(values)
        parts: list[tuple[int, str]] = []
        for name, value in node.values.items():
            if name not in values:
                self._say(
                    node.keys[name], f"`{printable(name)}` is not varied here ({did_you_mean(name, names)})"
                )
            elif isinstance(value, Scalar):
                known = [each.text for each in values[name]]
                if value.text not in known:
                    shown = printable(value.text)
                    self._say(value, f'`{name}` never is "{shown}" ({did_you_mean(value.text, known)})')
                parts.append((names.index(name), value.text))
        return tuple(sorted(parts)) if self._sound else None

    def _check_id(self, prompt_id: Template, variation: Variation, node: Node) -> None:
        """A faulty one would mislead: which values it takes in is not known."""
        if prompt_id.faults:
            return
        if self._columns and set(prompt_id.names) <= set(variation.names):
            name = next(filter(is_name, self._columns), "COLUMN")
            self._say(node, f"every row would have the same `id` (write a column into it, such as {{{name}}})")
        elif not prompt_id.names:
            self._check_literal_id(prompt_id.literals[0], node)
        for name, values in zip(variation.names, variation.values, strict=True):
            if name not in prompt_id.names:
                self._check_slugs_of(name, values)

    def _check_literal_id(self, name: str, node: Node) -> None:
        """An id without placeholders; the others are checked when their values are known."""
        if message := id_fault(name):
            self._say(node, f"`id` {message}")
        first = self._ids.setdefault(name.lower(), node)
        if first is not node and isinstance(first, Scalar):
            used = "is used" if first.text == name else f"is used as {printable(first.text)}"
            self._say(node, f"the id {printable(name)} {used} on line {first.line} already (choose another)")

    def _check_slugs_of(self, name: str, values: tuple[Value, ...]) -> None:
        advice = "write an `id` that tells them apart, such as mug-{number}, or choose other values"
        seen: dict[str, Value] = {}
        for value in values:
            shown = printable(value.text)
            if not value.slug:
                message = (
                    f'"{shown}" has none of the letters a-z and no digit, so it cannot name a file ({advice})'
                )
                self._say(value.node, message)
            elif (other := seen.setdefault(value.slug, value)) is not value and other.text != value.text:
                message = f'"{shown}" and "{printable(other.text)}" of `{name}` both become {value.slug} in a file\'s name ({advice})'
                self._say(value.node, message)

    def _check_variables(
        self,
        node: MapNode,
        variation: Variation,
        uses: Sequence[tuple[Node, tuple[str, ...]]],
    ) -> None:
        """Missing and unused variables, where what is varied, and what may use it, is there to be read."""
        vary = given(node, "vary")
        if vary is None or isinstance(vary, MapNode):
            self._check_names(node, variation, uses)
        if isinstance(vary, MapNode) and "id" in node.values and PROMPT in node.values:
            self._check_unused(node, vary, {name for _, names in uses for name in names})

    def _check_names(
        self, node: MapNode, variation: Variation, uses: Iterable[tuple[Node, tuple[str, ...]]]
    ) -> None:
        varied = (*variation.names, *filter(is_name, self._columns))
        kind = (
            "is neither a column of the table nor varied here"
            if self._columns
            else "is not varied in this prompt"
        )
        for place, names in uses:
            for name in dict.fromkeys(names):
                if name not in varied:
                    self._say(place, f"`{{{name}}}` {kind} ({_missing(name, varied)})")
        for name in self._around():
            if name not in varied:
                meant = nearest(name, varied)
                advice = f"did you mean {{{meant}}} there?" if meant else "add it to `vary`"
                message = f"`prompt_template` uses `{{{name}}}`, which this prompt does not vary ({advice})"
                self._say(node.values.get(PROMPT, node), message)

    def _around(self) -> tuple[str, ...]:
        wrapper = self._defaults.wrapper
        if wrapper is None:
            return ()
        # Where `{prompt}` is missing, a name like it was meant to be it, which is said already.
        mine = {PROMPT, *((nearest(PROMPT, wrapper.names),) if PROMPT not in wrapper.names else ())}
        return tuple(dict.fromkeys(name for name in wrapper.names if name not in mine))

    def _check_unused(self, node: MapNode, vary: MapNode, uses: set[str]) -> None:
        """In a part that could not be read, whatever looks like a variable counts as its use."""
        used = {*uses, *self._around()}
        if not self._sound:
            parts = (value for key, value in node.values.items() if key not in _WITHOUT_USES)
            used.update(name for part in parts for name in mentions(part))
        for name in vary.values:
            usable = is_name(name) and name != PROMPT and name not in self._columns
            if usable and name not in used and name not in self._defaults.perhaps:
                self._say(
                    vary.keys[name],
                    f"`{name}` is varied but never used (write {{{name}}} in the prompt, or remove it)",
                )

    def _say(self, node: Node, message: str) -> None:
        self._tell(self._document.problem(node, message))

    def _tell(self, problem: Problem) -> None:
        self._sound = False
        self._report(problem)


def _as_prompt(node: Node) -> str:
    """What to write for an entry that is only a text."""
    if isinstance(node, Scalar) and _NO_BLANK.match(node.text):
        return "put a blank behind each colon: `id: my-picture`"
    if isinstance(node, Scalar) and node.text and len(node.text) <= MOST_REPEATED:
        return f"write `- id: my-picture`, and under `id` a line `prompt: {flow(node.text)}`"
    return "write `- id: my-picture`, and under `id` a line `prompt: what to paint`"


_NO_BLANK = re.compile(r"[a-z_]+:\S")


def given(node: MapNode, key: str) -> Node | None:
    """The value of a key, None also when nothing is written there."""
    value = node.values.get(key)
    return None if value is None or is_null(value) else value


def _uses(
    node: MapNode, prompt_id: Template | None, text: Template | None, recipe: Recipe
) -> list[tuple[Node, tuple[str, ...]]]:
    """Where an entry uses variables, as far as it could be read."""
    uses = list(recipe.uses)
    if prompt_id is not None and prompt_id.names:
        uses.append((node.values["id"], prompt_id.names))
    if text is not None and text.names:
        uses.append((node.values[PROMPT], text.names))
    return uses


def _missing(name: str, varied: tuple[str, ...]) -> str:
    if varied:
        return did_you_mean(name, varied)
    return f"add `vary: {{{name}: [...]}}`, or write {{{{{name}}}}} for plain braces"


def _scalars(node: Node | None) -> list[Scalar]:
    items = node.items if isinstance(node, ListNode) else []
    return [item for item in items if isinstance(item, Scalar)]


def _without_table(node: MapNode) -> MapNode:
    """The entry without what belongs to tables, which is told."""
    if not any(name in node.values for name in TABLE_KEYS):
        return node
    own = {name: value for name, value in node.values.items() if name not in TABLE_KEYS}
    return MapNode(node.line, node.column, node.keys, own)
