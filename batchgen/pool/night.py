"""What all jobs of a night share: a gate for each provider, a budget, and an end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from batchgen.core.limits import LaneLimit, lowest
from batchgen.pool.gates import ProviderGate
from batchgen.pool.purse import Purse


@dataclass(slots=True)
class Night:
    """`most` bounds each provider beside its own ceilings. No key and no name of a job is in here."""

    most: LaneLimit = field(default_factory=lambda: LaneLimit(()))
    purse: Purse | None = None
    ends_at: datetime | None = None
    _gates: dict[str, ProviderGate] = field(default_factory=dict)

    def gate(self, provider: str, whole: LaneLimit, ceilings: Iterable[LaneLimit]) -> ProviderGate:
        """The provider's gate, made when its first job begins."""
        if provider not in self._gates:
            rate = lowest(whole.images_per_minute, self.most.images_per_minute)
            slots = lowest(whole.concurrency, self.most.concurrency)
            most = LaneLimit((), rate, None if slots is None else int(slots))
            self._gates[provider] = ProviderGate(most, ceilings)
        return self._gates[provider]
