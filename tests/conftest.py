"""What every test shares."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio is the only loop that aiohttp runs on."""
    return "asyncio"
