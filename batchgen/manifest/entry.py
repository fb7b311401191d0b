"""One entry of `prompts` -> a `Prompt`, with everything checked that needs no expansion."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from batchgen.core.errors import Problem
from batchgen.core.naming import id_fault, printable
from batchgen.manifest.document import Document, MapNode, Node, Scalar
from batchgen.manifest.prompt import EMPTY_PROMPT, PROMPT, Defaults, Prompt, given
from batchgen.manifest.recipe import UNREAD, Recipe, RequestReader
from batchgen.manifest.rows import TABLE, EntryTable
from batchgen.manifest.scalars import Kind, describe, kind_of
from batchgen.manifest.schema import PromptEntry, TableEntry
from batchgen.manifest.tables.table import Table
from batchgen.manifest.template import Template, is_name, parse_template, usable_name
from batchgen.manifest.translate import MOST_REPEATED, check_parts
from batchgen.manifest.uses import VariableCheck, around, uses_of
from batchgen.manifest.variations import Variation
from batchgen.manifest.varying import VariationReader, check_slugs, scalars, with_values
from batchgen.manifest.wording import flow

MOST_UNEXPANDED = 1000
"""Requests of faulty entries that are checked as well; more faulty entries than this are one mistake."""
_UNKNOWN = PromptEntry(id="unknown", prompt="unknown")
_UNKNOWN_TABLE = TableEntry(table="unknown.csv")
MOST_TABLES = 100
"""Tables of one manifest; each is an open file until its rows are read."""
TABLE_KEYS = ("sheet", "where")
"""Keys that say nothing without `table`."""


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
        node = with_values(node, self._folder, self._say)
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
        variation = VariationReader(self._columns, self._say).read(node)
        references, mask = self._pictures(node)
        if prompt_id is not None:
            self._check_id(prompt_id, variation, node.values["id"])
        if text is not None:
            self._check_text(text, node)
        pictures = references if mask is None else [*references, mask]
        uses = uses_of(node, prompt_id, text, recipe)
        uses += [(place, name.names) for place, name in pictures if name.names]
        if rows is None or rows.table is not None:
            VariableCheck(self._defaults, self._columns, self._say, lambda: self._sound).check(
                node, variation, uses
            )
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
                *around(self._defaults),
                *(name for _, names in uses for name in names),
            }
        return table

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
            for item in scalars(node.values.get("references"))
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
                check_slugs(name, values, self._say)

    def _check_literal_id(self, name: str, node: Node) -> None:
        """An id without placeholders; the others are checked when their values are known."""
        if message := id_fault(name):
            self._say(node, f"`id` {message}")
        first = self._ids.setdefault(name.lower(), node)
        if first is not node and isinstance(first, Scalar):
            used = "is used" if first.text == name else f"is used as {printable(first.text)}"
            self._say(node, f"the id {printable(name)} {used} on line {first.line} already (choose another)")

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


def _without_table(node: MapNode) -> MapNode:
    """The entry without what belongs to tables, which is told."""
    if not any(name in node.values for name in TABLE_KEYS):
        return node
    own = {name: value for name, value in node.values.items() if name not in TABLE_KEYS}
    return MapNode(node.line, node.column, node.keys, own)
