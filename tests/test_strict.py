"""Against servers with a strict limit, over HTTP: nothing is refused at the configured rate, and an unknown limit is found."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.cli import Desk
from tests.support.strict import Kind, StrictServer, strict_server

pytest_plugins = ("tests.support.fixtures",)

ON_THE_WAY_S = 0.1
"""The servers' windows are so much shorter: a busy machine delays a request on its way, which nobody can make up for."""


def window(images: int, window_s: float) -> Kind:
    """A sliding window that takes so many."""
    strict_s = window_s - ON_THE_WAY_S
    return "Sliding", {"a_minute": images * 60.0 / strict_s, "window_s": strict_s}


def run(desk: Desk, server: StrictServer, images: Mapping[str, int], **limits: object) -> None:
    """One job with prompts of several models."""
    desk.environ["COMETAPI_BASE_URL"] = server.base_url
    prompts = [
        {"id": f"boat-{number}", "prompt": "A boat.", "model": model, "images": count}
        for number, (model, count) in enumerate(images.items())
    ]
    desk.manifest(prompts, limits={"concurrency": 64, **limits}, report={"thumbnails": False})
    assert sum(images.values()) == desk.run()["stored"]


def test_nothing_is_refused_at_the_configured_rate(desk: Desk) -> None:
    """Windows of 2 and of 10 s, three models at once, each at its limit from the first request on: not one 429."""
    kinds = {
        "gpt-image-2": window(40, 2.0),
        "gpt-image-2.5-flare": window(100, 10.0),
        "gpt-image-2.5-sunburst": window(4, 2.0),
    }
    with strict_server(kinds) as server:
        rates = {"gpt-image-2": 1200, "gpt-image-2.5-flare": 600, "gpt-image-2.5-sunburst": 120}
        run(desk, server, {model: rate // 6 for model, rate in rates.items()}, images_per_minute=rates)
        for model, rate in rates.items():
            meter = server.meter(model)
            assert [] == meter.refused
            assert meter.best_a_minute(4.0) >= 0.9 * rate


def test_models_with_different_limits_find_each_its_own(desk: Desk) -> None:
    """No rate is configured: one model finds 20 a second, the other 2, and neither is slowed by the other."""
    kinds = {"gpt-image-2": window(40, 2.0), "gpt-image-2.5-flare": window(4, 2.0)}
    with strict_server(kinds) as server:
        run(desk, server, {"gpt-image-2": 160, "gpt-image-2.5-flare": 16})
        fast, slow = server.meter("gpt-image-2"), server.meter("gpt-image-2.5-flare")
    # Until the first burst has left its window, nobody can know the limit.
    assert fast.best_a_minute(2.0, after_s=2.5) >= 0.6 * 1200
    assert slow.best_a_minute(4.0, after_s=2.5) >= 0.6 * 120
