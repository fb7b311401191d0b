"""Which variables an entry uses, and which of them nobody gives or nobody needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from batchgen.core.naming import printable
from batchgen.manifest.document import MapNode, Node
from batchgen.manifest.guess import did_you_mean, nearest
from batchgen.manifest.prompt import PROMPT, Defaults, given
from batchgen.manifest.recipe import Recipe, mentions
from batchgen.manifest.template import Template, is_name
from batchgen.manifest.variations import Variation

_WITHOUT_USES = frozenset({"vary", "exclude", "images", "tags", "table", "sheet", "where"})

Uses = Sequence[tuple[Node, tuple[str, ...]]]
"""The places that use variables, with the names that stand there."""


def uses_of(
    node: MapNode, prompt_id: Template | None, text: Template | None, recipe: Recipe
) -> list[tuple[Node, tuple[str, ...]]]:
    """Where an entry uses variables, as far as it could be read."""
    uses = list(recipe.uses)
    if prompt_id is not None and prompt_id.names:
        uses.append((node.values["id"], prompt_id.names))
    if text is not None and text.names:
        uses.append((node.values[PROMPT], text.names))
    return uses


def _missing(name: str, varied: tuple[str, ...], columns: Sequence[str]) -> str:
    if varied:
        return did_you_mean(name, varied)
    if columns:
        return f"name the columns in row 1 of the table, where there is only {printable(', '.join(columns))}"
    return f"add `vary: {{{name}: [...]}}`, or write {{{{{name}}}}} for plain braces"


class VariableCheck:
    """Compares what one entry uses with what is varied and what its table has; what is wrong goes to `say`.

    `sound` tells whether all of the entry could be read.
    """

    def __init__(
        self,
        defaults: Defaults,
        columns: Sequence[str],
        say: Callable[[Node, str], None],
        sound: Callable[[], bool],
    ) -> None:
        self._defaults = defaults
        self._columns = columns
        self._say = say
        self._sound = sound

    def check(
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
                    self._say(place, f"`{{{name}}}` {kind} ({_missing(name, varied, self._columns)})")
        for name in around(self._defaults):
            if name not in varied:
                meant = nearest(name, varied)
                advice = f"did you mean {{{meant}}} there?" if meant else "add it to `vary`"
                message = f"`prompt_template` uses `{{{name}}}`, which this prompt does not vary ({advice})"
                self._say(node.values.get(PROMPT, node), message)

    def _check_unused(self, node: MapNode, vary: MapNode, uses: set[str]) -> None:
        """In a part that could not be read, whatever looks like a variable counts as its use."""
        used = {*uses, *around(self._defaults)}
        if not self._sound():
            parts = (value for key, value in node.values.items() if key not in _WITHOUT_USES)
            used.update(name for part in parts for name in mentions(part))
        for name in vary.values:
            usable = is_name(name) and name != PROMPT and name not in self._columns
            if usable and name not in used and name not in self._defaults.perhaps:
                self._say(
                    vary.keys[name],
                    f"`{name}` is varied but never used (write {{{name}}} in the prompt, or remove it)",
                )


def around(defaults: Defaults) -> tuple[str, ...]:
    """The variables of `prompt_template` beside the prompt itself."""
    wrapper = defaults.wrapper
    if wrapper is None:
        return ()
    # Where `{prompt}` is missing, a name like it was meant to be it, which is said already.
    mine = {PROMPT, *((nearest(PROMPT, wrapper.names),) if PROMPT not in wrapper.names else ())}
    return tuple(dict.fromkeys(name for name in wrapper.names if name not in mine))
