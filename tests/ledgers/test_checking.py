"""A look at all pages of a ledger beside its first use."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.core.errors import LedgerDamagedError
from batchgen.ledgers.checking import pages_checked
from batchgen.ledgers.sqlite import open_ledger
from tests.ledgers.samples import queue, tasks

pytestmark = pytest.mark.anyio


async def torn(path: Path) -> None:
    """A ledger with pages in its middle that are none."""
    async with open_ledger(path) as ledger:
        await queue(ledger, tasks(2000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 20_000] = b"\xff" * 20_000
    path.write_bytes(content)


async def test_torn_pages_are_found_before_anything_is_changed(tmp_path: Path) -> None:
    """The ledger opens, and the block may read; behind it nothing is reached."""
    path = tmp_path / "ledger.sqlite"
    await torn(path)
    before, reached = path.read_bytes(), []
    async with open_ledger(path, checked=False):
        with pytest.raises(LedgerDamagedError, match="damaged"):
            async with pages_checked(path):
                reached.append("the block")
    assert (["the block"], before) == (reached, path.read_bytes())


async def test_what_fails_meanwhile_is_what_is_told(tmp_path: Path) -> None:
    """A manifest's own mistake is not hidden behind the state of the ledger."""
    path = tmp_path / "ledger.sqlite"
    await torn(path)
    async with open_ledger(path, checked=False):
        with pytest.raises(KeyError, match="a mistake"):
            async with pages_checked(path):
                raise KeyError("a mistake")


async def test_a_whole_ledger_passes(tmp_path: Path) -> None:
    """The second connection leaves no trace."""
    path = tmp_path / "ledger.sqlite"
    async with open_ledger(path) as ledger, pages_checked(path):
        await queue(ledger, tasks(3))
    assert ["ledger.sqlite"] == [file.name for file in tmp_path.iterdir()]
