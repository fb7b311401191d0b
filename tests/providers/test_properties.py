"""Any bytes are an image, a link or a failure: the reading of an answer raises nothing of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.classify import classify_status
from batchgen.core.types import FailureClass, ImageBytes, Link, Paid
from batchgen.providers.answers import Received, error_of, image_of, json_of
from batchgen.providers.endpoint import Secret
from batchgen.providers.masking import Mask

KEY = "canary-0123456789abcdef"
MASK = Mask(Secret(KEY))
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

NAMES = st.sampled_from(
    ["data", "error", "b64_json", "url", "message", "code", "detail", "usage", KEY]
) | st.text(max_size=5)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just(f"is {KEY}!")
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=20
)
BODIES = st.binary(max_size=300) | DOCUMENTS.map(lambda document: json.dumps(document).encode())


@given(st.integers(100, 599), BODIES)
def test_any_body_is_an_image_a_link_or_a_failure(status: int, body: bytes) -> None:
    """Whatever comes with 2xx is paid for and taken or kept; no text that leaves the reading has the key in it."""
    document = json_of(body)
    image = image_of(document, Received(status, {}), MASK)
    error = error_of(document, MASK)
    excerpt = MASK.text(body.decode("utf-8", "replace"))
    failure = classify_status(status, {}, error, excerpt, NOW)

    assert KEY not in failure.reason
    assert failure.reason.isprintable()
    if image is not None:
        assert isinstance(image, ImageBytes | Link)
        assert KEY not in json.dumps(image.answer.raw) + str(image.answer.revised_prompt)
    elif 200 <= status < 300 and error is None:
        assert (FailureClass.NO_IMAGE, Paid.YES) == (failure.failure_class, failure.paid)
