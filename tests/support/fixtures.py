"""Fixtures of the end-to-end tests. A test module imports the ones that it uses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.spec.witness import WITNESS
from tests.support.cli import Desk
from tests.support.paid import Till, paid_server, posted


@pytest.fixture(scope="session")
def paid_port() -> Iterator[int]:
    """One paid server for all tests: each has an account of its own."""
    with paid_server() as port, WITNESS.asking(partial(posted, port)):
        yield port


@pytest.fixture
def till(paid_port: int) -> Till:
    """An account that nobody else uses. Its key is a canary: it may turn up in no file and no output."""
    return Till(paid_port, f"sk-canary-{uuid.uuid4().hex}")


@pytest.fixture
def desk(tmp_path: Path, till: Till) -> Iterator[Desk]:
    """An empty working folder. Whatever happens in it, the key is in no file afterwards."""
    yield Desk(tmp_path, till)
    files = (path for path in tmp_path.rglob("*") if path.is_file())
    assert [] == [path for path in files if till.key.encode() in path.read_bytes()]
