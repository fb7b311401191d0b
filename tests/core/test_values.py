"""Changed copies of values, whichever way their class is made."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec import Struct

from batchgen.core.values import replace


@dataclass(frozen=True, slots=True)
class Plain:
    """A dataclass."""

    name: str
    count: int = 1


class Quick(Struct, frozen=True):
    """A Struct."""

    name: str
    count: int = 1


@pytest.mark.parametrize("kind", [Plain, Quick])
def test_a_changed_value_is_a_new_one(kind: type[Plain | Quick]) -> None:
    """The copy has the change and all else; the original stays, and nobody changes it; a name that is no field is refused."""
    value = kind("boat", 2)

    assert kind("boat", 3) == replace(value, count=3)
    assert kind("boat", 2) == value
    with pytest.raises(AttributeError):
        value.count = 4  # type: ignore[misc]  # that is the mistake
    with pytest.raises(TypeError):
        replace(value, size=1)  # type: ignore[call-arg]  # that is the mistake
