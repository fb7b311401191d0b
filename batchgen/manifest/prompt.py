"""What is left of an entry once it is read: a `Prompt`, and what the top of the manifest gives to all of them."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from batchgen.manifest.document import MapNode, Node, Scalar
from batchgen.manifest.recipe import Field, Recipe
from batchgen.manifest.scalars import is_null
from batchgen.manifest.tables.table import Table
from batchgen.manifest.template import Template
from batchgen.manifest.variations import Variation

PROMPT = "prompt"
"""The variable that stands for the prompt in `prompt_template`."""
EMPTY_PROMPT = "the prompt is empty (describe the picture)"


class Prompt(Struct, frozen=True, eq=False):
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


class Defaults(Struct, frozen=True):
    """What the top of a manifest gives to every entry.

    `recipe` is None when no model is given; `perhaps` are variables that the top may use where it could not be read.
    """

    model: Template
    model_node: Node | None
    fields: Mapping[str, Field]
    wrapper: Template | None
    recipe: Recipe | None
    perhaps: frozenset[str]


def given(node: MapNode, key: str) -> Node | None:
    """The value of a key, None also when nothing is written there."""
    value = node.values.get(key)
    return None if value is None or is_null(value) else value
