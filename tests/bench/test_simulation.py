"""What docs/scaling.md says of a million images is what the pool's own decisions come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.core.values import replace
from tests.bench.simulation import SETTINGS, Provider, Setting, on_paper, price_usd, row

SCALING = Path(__file__).parents[2] / "docs" / "scaling.md"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: f"{setting.images_per_minute:.0f}")
def test_the_page_shows_the_model(setting: Setting) -> None:
    """Every row of the table is computed from the assumptions that the page names."""
    assert row(setting, on_paper(setting)) in SCALING.read_text()


def test_a_simulated_night_takes_what_the_model_says() -> None:
    """Time, open requests, bandwidth, processor and cost of 20,000 images, within 3 %, with 1 % of requests failing."""
    setting = Setting(20_000, 600.0)
    model, simulated = on_paper(setting), Provider(setting).run()
    assert model.hours == pytest.approx(simulated.hours, rel=0.03)
    assert model.open_requests == pytest.approx(simulated.open_requests, rel=0.03)
    assert model.bytes_per_s == pytest.approx(simulated.bytes_per_s, rel=0.03)
    assert model.coordinator == pytest.approx(simulated.coordinator, rel=0.03)
    assert model.cost_usd == pytest.approx(simulated.cost_usd, rel=1e-6)


def test_a_simulated_night_keeps_its_budget() -> None:
    """Where the budget ends first, all of it is used, and not a cent more."""
    setting = Setting(2_000, 600.0)
    budget_usd = 500.5 * price_usd(setting)
    simulated = Provider(replace(setting, budget_usd=budget_usd)).run()
    assert 0.95 * budget_usd < simulated.cost_usd <= budget_usd
