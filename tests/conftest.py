"""What every test shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiohttp import web

from batchgen.sandbox import server
from batchgen.sandbox.service import Sandbox
from tests.spec.witness import WITNESS, witnessed
from tests.support.weed import Weed, weed_in


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio is the only loop that aiohttp runs on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def to_the_letter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever the test sends and the sandbox answers is as the official document has it.

    A test that sends what is wrong says so with `@pytest.mark.odd_requests`, one that has the sandbox speak as other
    servers do with `@pytest.mark.odd_answers`.
    """
    build = server._app

    def _witnessed(sandbox: Sandbox) -> web.Application:
        return witnessed(build(sandbox), sandbox)

    monkeypatch.setattr(server, "_app", _witnessed)
    WITNESS.forget()
    yield
    WITNESS.ask_elsewhere()
    seen = {"odd_requests": WITNESS.requests, "odd_answers": WITNESS.answers}
    found = [
        one for mark, faults in seen.items() if request.node.get_closest_marker(mark) is None for one in faults
    ]
    assert not found, "not to the letter of the official document:\n" + "\n".join(found)


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    """An object store for all tests of a process; each takes a prefix of its own."""
    with weed_in(tmp_path_factory.mktemp("weed")) as server:
        yield server
