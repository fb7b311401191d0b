"""Budgets: what a request may cost at most is reserved before it, and settled after it."""

from __future__ import annotations

import anyio

from batchgen.core.money import usd


class Purse:
    """One budget in USD. `spent_usd` are settled and open amounts together, so it never passes the limit.

    `reservations` counts the open ones, of all jobs that share it: each may yet leave something over.
    """

    def __init__(self, name: str, limit_usd: float, spent_usd: float = 0.0) -> None:
        self.name = name
        self.limit_usd = limit_usd
        self.spent_usd = spent_usd
        self.reservations = 0
        self._settled = anyio.Event()

    def has(self, amount_usd: float) -> bool:
        """Whether the amount is left. Nothing is left of a spent budget, not even for what is free."""
        return usd(self.spent_usd + amount_usd) <= self.limit_usd

    def reserve(self, amount_usd: float) -> None:
        """Take an amount that `has` said is left."""
        self.spent_usd = usd(self.spent_usd + amount_usd)
        self.reservations += 1

    def settle(self, reserved_usd: float, cost_usd: float) -> None:
        """Replace a reservation by what it came to."""
        self.spent_usd = usd(self.spent_usd - reserved_usd + cost_usd)
        self.reservations -= 1
        self._settled.set()
        self._settled = anyio.Event()

    async def settled(self) -> None:
        """Wait until a reservation is settled."""
        await self._settled.wait()


class Purses:
    """Several budgets that hold at once, e.g. the job's and this run's."""

    def __init__(self, *purses: Purse) -> None:
        self._purses = purses

    def reserve(self, amount_usd: float) -> Purse | None:
        """Reserve in all of them, or in none; returns the budget that lacks the amount."""
        for purse in self._purses:
            if not purse.has(amount_usd):
                return purse
        for purse in self._purses:
            purse.reserve(amount_usd)
        return None

    def overspent(self) -> Purse | None:
        """A budget that is passed: an answer was dearer than the most that it was thought to cost."""
        return next((purse for purse in self._purses if purse.spent_usd > purse.limit_usd), None)

    def settle(self, reserved_usd: float, cost_usd: float) -> None:
        """Replace a reservation in all of them."""
        for purse in self._purses:
            purse.settle(reserved_usd, cost_usd)
