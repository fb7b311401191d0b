"""The mark of a list of names."""

from __future__ import annotations

from itertools import combinations

from batchgen.core.inventory import Inventory


def test_the_order_does_not_matter() -> None:
    """Folders and tables are read in orders of their own."""
    assert Inventory.of(["a", "b", "c"]) == Inventory.of(["c", "a", "b"])


def test_names_that_are_counted_up_have_marks_of_their_own() -> None:
    """Every choice of four out of twenty tasks differs: what is on the disk is not taken for what is on the ledger."""
    names = [f"images/boat--{number:02}" for number in range(20)]
    marks = {Inventory.of(chosen) for chosen in combinations(names, 4)}
    assert 4845 == len(marks)
