"""The pictures that go along with one task, and whether provider and model take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from batchgen.catalogue.model import Model
from batchgen.catalogue.sizes import Size
from batchgen.core.types import Reference
from batchgen.manifest.document import Node
from batchgen.manifest.pictures import PictureError, Pictures
from batchgen.manifest.prompt import Prompt
from batchgen.manifest.template import Template


class Along(Struct, frozen=True):
    """The pictures of one task, and what is wrong with them, each with its place and the text of its name."""

    references: tuple[Reference, ...] = ()
    mask: Reference | None = None
    faults: tuple[tuple[Node, Template, str], ...] = ()

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Pixels of all that is sent."""
        sent = self.references if self.mask is None else (*self.references, self.mask)
        return tuple((picture.width, picture.height) for picture in sent)


ALONE = Along()


def along(pictures: Pictures, prompt: Prompt, variables: Mapping[str, str]) -> Along:
    """The pictures of one combination of a prompt."""
    references, faults = list[Reference](), list[tuple[Node, Template, str]]()
    mask = None
    for place, name in prompt.references:
        try:
            references.append(pictures.reference(name.render(variables)))
        except PictureError as error:
            faults.append((place, name, str(error)))
    if prompt.mask is not None and references and not faults:
        place, name = prompt.mask
        try:
            mask = pictures.mask(name.render(variables), references[0])
        except PictureError as error:
            faults.append((place, name, str(error)))
    return Along(tuple(references), mask, tuple(faults))


def refused_pictures(
    prompt: Prompt, model: Model | None, provider: str, *, edits_at_all: bool
) -> Iterator[tuple[Node, str]]:
    """Pictures that the provider or the model does not take."""
    if not prompt.references:
        return
    first = prompt.references[0][0]
    if not edits_at_all:
        yield first, f"{provider} takes no references (remove them, or use another provider)"
    if model is None:
        return
    name, edits = model.model_id, model.edits
    if edits is None:
        advice = "use a model that does, such as gpt-image-2, or remove them"
        yield first, f"{name} takes no references ({advice})"
    elif len(prompt.references) > edits.references:
        place = prompt.references[edits.references][0]
        yield place, f"{name} takes at most {edits.references} references (remove some)"
    elif prompt.mask is not None and not edits.mask:
        yield prompt.mask[0], f"{name} takes no mask (remove it)"
