"""What is not worth sending any more: models that are missing, and request shapes that are never accepted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from batchgen.core.retry import NextStep
from batchgen.core.types import Failure, FailureClass, ImageRequest
from batchgen.core.values import replace

INVALID = 3
"""So many requests of one shape must be called invalid, and none bring an image, before its others are not sent."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why requests like this one are not sent: all of its model, or only those of its shape."""

    failure: Failure
    whole_model: bool


class Hopeless:
    """Learns from outcomes which requests would fail. A shape is what is asked for beside the prompt, pictures too."""

    def __init__(self) -> None:
        self._models: dict[str, Cause] = {}
        self._shapes: dict[str, Cause] = {}
        self._accepted: set[str] = set()
        self._invalid: Counter[str] = Counter()

    def of(self, request: ImageRequest) -> Cause | None:
        """Why a request need not be sent; None when it may work."""
        return self._models.get(request.model) or self._shapes.get(_shape(request))

    def accepted(self, request: ImageRequest) -> None:
        """An image came of it."""
        self._accepted.add(_shape(request))

    def failed(self, request: ImageRequest, failure: Failure, step: NextStep) -> bool:
        """It failed; returns whether that condemns others that were not condemned before."""
        if self.of(request) is not None:
            return False
        if step.fail_model:
            self._models[request.model] = Cause(failure, whole_model=True)
            return True
        shape = _shape(request)
        # What never left this machine says nothing of what the provider accepts.
        refused = failure.failure_class is FailureClass.INVALID and not failure.nothing_sent
        if not refused or shape in self._accepted:
            return False
        self._invalid[shape] += 1
        if self._invalid[shape] < INVALID:
            return False
        reason = f"not sent: {INVALID} requests of {request.model} with these settings were invalid ({failure.reason})"
        self._shapes[shape] = Cause(replace(failure, reason=reason), whole_model=False)
        return True


def _shape(request: ImageRequest) -> str:
    pictures = [picture.sha256 for picture in request.pictures]
    return json.dumps([request.model, request.parameters, request.extra, pictures, request.mask is None])
