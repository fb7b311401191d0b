"""What every test shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiohttp import web

from batchgen.sandbox import server
from batchgen.sandbox.service import Sandbox
from tests.spec.witness import WITNESS, witnessed


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio is the only loop that aiohttp runs on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def to_the_letter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever the test sends and the sandbox answers is as the official document has it.

    A test that sends what is wrong, or in a dialect of its own, says so with `@pytest.mark.odd_requests`.
    """
    build = server._app

    def _witnessed(sandbox: Sandbox) -> web.Application:
        return witnessed(build(sandbox), sandbox)

    monkeypatch.setattr(server, "_app", _witnessed)
    WITNESS.forget()
    yield
    WITNESS.ask_elsewhere()
    odd = request.node.get_closest_marker("odd_requests") is not None
    found = WITNESS.answers + ([] if odd else WITNESS.requests)
    assert not found, "not to the letter of the official document:\n" + "\n".join(found)
