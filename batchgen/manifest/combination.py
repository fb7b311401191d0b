"""One combination of a prompt, and of a row where it has a table: its variables, and where each of them is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from batchgen.catalogue.model import Model
from batchgen.catalogue.rules import MOST_CHARACTERS, Complaint
from batchgen.core import naming
from batchgen.core.types import JsonScalar
from batchgen.manifest.document import MapNode, Node
from batchgen.manifest.prompt import Prompt
from batchgen.manifest.recipe import EXTRA, Field, Recipe, names_in, templates_of
from batchgen.manifest.tables.table import Row
from batchgen.manifest.template import Template
from batchgen.manifest.variations import Value, written

_EMPTY = {
    "id": "the row has no id (write one, or leave the row out with `where`)",
    "prompt": "the row has no prompt (describe the picture, or leave the row out with `where`)",
}


class Layout(Struct, frozen=True, eq=False):
    """What all combinations of a prompt share.

    `texts` are those beside the prompt in which variables are replaced; `around` is how many characters a task's name
    has beside the prompt's id and the varied values; `empty` says what to say of an empty cell, by
    the columns that are used; `in_pictures` are the variables in the names of pictures.
    """

    prompt: Prompt
    texts: tuple[tuple[Node, Template], ...]
    in_name: tuple[int, ...]
    in_pictures: frozenset[str]
    empty: Mapping[str, str]
    around: int

    @classmethod
    def of(cls, prompt: Prompt) -> Layout:
        """The layout of a prompt."""
        pictures = prompt.references if prompt.mask is None else (*prompt.references, prompt.mask)
        used = (
            () if prompt.table is None else [name for name in prompt.table.columns if name in prompt.table.used]
        )
        in_pictures = frozenset(name for _, picture in pictures for name in picture.names)
        in_name = tuple(n for n, name in enumerate(prompt.variation.names) if name not in prompt.id.names)
        return cls(
            prompt,
            tuple(_varied_texts(prompt)),
            in_name,
            in_pictures,
            {name: _empty(prompt, name, in_pictures) for name in used},
            len(naming.task_id("", [""] * len(in_name), prompt.images)),
        )

    def void(self, row: Row) -> frozenset[str]:
        """The columns that are used and have no value in a row."""
        cells = row.cells
        if all(cells[name] for name in self.empty):
            return frozenset()
        return frozenset(name for name in self.empty if not cells[name])


class Combination(Struct, eq=False):
    """The variables of one combination: the row's cells and the choice of each varied value."""

    layout: Layout
    row: Row
    void: Collection[str]
    choice: tuple[Value, ...]
    variables: Mapping[str, str]

    @property
    def slugs(self) -> list[str]:
        """What the choice adds to the tasks' names."""
        return [self.choice[number].slug for number in self.layout.in_name]

    def known(self, names: Iterable[str]) -> bool:
        """Whether all of these variables have values."""
        return not self.void or not any(name in self.void for name in names)

    def needed(self, recipe: Recipe) -> tuple[tuple[str, str, JsonScalar], ...]:
        """The variables of a recipe: name, text, and value as it was written."""
        found = []
        for name in recipe.names:
            value = self._value(name)
            text = self.variables[name]
            as_written = written(self.row.cell(name)) if value is None else value.written
            found.append((name, text, as_written))
        return tuple(found)

    def place(self, node: Node, names: Iterable[str]) -> Node:
        """Where a text is to be mended: in the longest cell that it uses, else where it is written."""
        cells = [name for name in dict.fromkeys(names) if name in self.layout.empty]
        return self.row.cell(max(cells, key=lambda name: len(self.row.cells[name]))) if cells else node

    def place_of(self, model: Model | None, complaint: Complaint) -> Node:
        """Where a complaint belongs: the varied value or the cell that leads to it, else the value or key."""
        recipe = self.layout.prompt.recipe
        field = field_of(recipe, complaint)
        if field is not None and (model is None or complaint.parameter not in model.parameters):
            return key_of(field, complaint)
        names = dict.fromkeys(recipe.model.names) if field is None else field.names
        if len(names) == 1:
            name = next(iter(names))
            value = self._value(name)
            return self.row.cell(name) if value is None else value.node
        return self.place(recipe.model_node if field is None else field.node, names)

    def too_long(self) -> Iterator[tuple[Node, str]]:
        """Texts that are not put together, since a short file can make gigabytes of them."""
        for node, text in self.layout.texts:
            characters = text.length(self.variables)
            if characters > MOST_CHARACTERS:
                message = (
                    f"this would become {characters:,} characters (use fewer variables, or shorter values)"
                )
                yield self.place(node, text.names), message

    def name_fault(self, prompt_id: str, slugs: Sequence[str]) -> str | None:
        """What is wrong with the tasks' names, of which `slugs` are a part."""
        prompt = self.layout.prompt
        if prompt.id.names and (fault := naming.id_fault(prompt_id)):
            return f"`id` {fault}"
        longest = len(prompt_id) + sum(map(len, slugs)) + self.layout.around
        if longest > naming.TASK_ID_LIMIT:
            return (
                f"the file's name {naming.task_id(prompt_id, slugs, prompt.images)[:40]}... would have {longest} characters, "
                f"at most {naming.TASK_ID_LIMIT} are safe (write a shorter `id`, with placeholders)"
            )
        return None

    def _value(self, name: str) -> Value | None:
        """The choice of a varied variable, None for a column."""
        names = self.layout.prompt.variation.names
        return self.choice[names.index(name)] if name in names else None


def field_of(recipe: Recipe, complaint: Complaint) -> Field | None:
    """The part of a request that a complaint is about."""
    name = complaint.parameter or ""
    found = (recipe.extra if name == EXTRA else recipe.fields.get(name), recipe.faulty.get(name))
    there = [field for field in found if field is not None]
    return next((field for field in there if (complaint.key or "") in names_in(field)), next(iter(there), None))


def key_of(field: Field, complaint: Complaint) -> Node:
    """The parameter's name, or that of the wrong part of its value."""
    inside = field.node.keys if isinstance(field.node, MapNode) else {}
    return inside.get(complaint.key or "", field.key)


def _empty(prompt: Prompt, column: str, in_pictures: Collection[str]) -> str:
    """What to say of an empty cell."""
    if column in (prompt.id.whole, prompt.text.whole):
        return _EMPTY["id" if column == prompt.id.whole else "prompt"]
    users = {
        "`id`": prompt.id.names,
        "`prompt`": prompt.text.names,
        "`model`": prompt.recipe.model.names,
        "`request`": prompt.recipe.names,
        "`references`": in_pictures,
    }
    user = next((user for user, names in users.items() if column in names), "`prompt_template`")
    return f"the cell is empty, but {user} needs it (write a value, or leave the row out with `where`)"


def _varied_texts(prompt: Prompt) -> Iterator[tuple[Node, Template]]:
    pictures = prompt.references if prompt.mask is None else (*prompt.references, prompt.mask)
    recipe = prompt.recipe
    fields = [*recipe.fields.values(), *([] if recipe.extra is None else [recipe.extra])]
    texts = [(prompt.id_node, prompt.id), (recipe.model_node, recipe.model), *pictures]
    texts += [(field.node, text) for field in fields for text in templates_of(field.pattern)]
    return ((place, text) for place, text in texts if text.names)
