"""Answers in the shapes that gateways and other makers document: each ends as what it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from batchgen.core.classify import classify_status
from batchgen.core.types import FailureClass as C
from batchgen.core.types import ImageBytes, JsonValue, Link, Usage
from batchgen.providers.answers import Received, error_of, image_of
from batchgen.providers.endpoint import Secret
from batchgen.providers.masking import Mask

MASK = Mask(Secret("canary-0123456789"))
NOW = datetime(2026, 11, 23, tzinfo=UTC)
B64 = "aGVsbG8gaW1hZ2U="
URL = "https://files.example/a.webp?sig=1"


@pytest.mark.parametrize(
    ("document", "usage"),
    [
        # OpenAI, gpt-image-2
        (
            {
                "created": 1, "background": "opaque", "data": [{"b64_json": B64}], "output_format": "png",
                "quality": "low", "size": "1024x1024",
                "usage": {
                    "input_tokens": 16, "input_tokens_details": {"image_tokens": 0, "text_tokens": 16},
                    "output_tokens": 208, "output_tokens_details": {"image_tokens": 196, "text_tokens": 12},
                    "total_tokens": 224,
                },
            },
            Usage(16, 0, 208),
        ),
        # CometAPI, an edit: with what its gateway adds
        (
            {
                "created": 1, "data": [{"b64_json": B64}],
                "usage": {
                    "prompt_tokens": 0, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0},
                    "input_tokens": 1040, "input_tokens_details": {"image_tokens": 1024, "text_tokens": 16},
                    "output_tokens": 196, "claude_cache_creation_5_m_tokens": 0,
                },
            },
            Usage(16, 1024, 196),
        ),
        # LiteLLM: every field of an image, null where there is none
        ({"created": 1, "data": [{"b64_json": B64, "url": None, "revised_prompt": None}], "usage": None}, None),
        # DeepInfra: an image as a data URL
        ({"created": 1, "data": [{"b64_json": f"data:image/png;base64,{B64}", "revised_prompt": "x"}]}, None),
        # Volcengine Ark
        ({"model": "seedream", "created": 1, "data": [{"b64_json": B64, "size": "1x1"}], "usage": {"generated_images": 1}}, None),
    ],
)  # fmt: skip
def test_an_image(document: JsonValue, usage: Usage | None) -> None:
    """The image and what it took, whatever stands around them."""
    image = image_of(document, Received(200, {}), MASK)
    assert isinstance(image, ImageBytes)
    assert (B64, usage) == (image.encoded, image.answer.usage)


@pytest.mark.parametrize(
    "document",
    [
        {"created": 1, "data": [{"url": URL, "revised_prompt": "a boat"}]},
        {"created": 1, "data": [{"b64_json": None, "url": URL}]},
        {"data": [{"b64_json": "", "url": f" {URL}\n"}]},
        {"images": [{"url": URL}], "timings": {"inference": 1.2}, "seed": 7},
        {"images": [{"url": URL}], "data": None},
    ],
)
def test_a_link(document: JsonValue) -> None:
    """CometAPI's dall-e route, xAI, LiteLLM, SiliconFlow."""
    link = image_of(document, Received(200, {}), MASK)
    assert isinstance(link, Link)
    assert URL == link.url


@pytest.mark.parametrize(
    ("status", "document", "expected", "words"),
    [
        (500, {"error": {"message": "bad (request id: 2026)", "type": "comet_api_error", "param": "", "code": "invalid_request"}}, C.INVALID, "bad"),
        (503, {"error": {"message": "No available channel for group default and model x", "type": "new_api_error", "code": "model_not_found"}}, C.MODEL, "channel"),
        (503, {"error": {"message": "当前分组 default 下对于模型 x 无可用渠道", "type": "new_api_error"}}, C.MODEL, "渠道"),
        (403, {"error": {"message": "user quota is not enough", "type": "new_api_error", "code": "insufficient_user_quota"}}, C.BILLING, "quota"),
        (429, {"error": {"message": "当前分组上游负载已饱和", "type": "upstream_error", "code": 429}}, C.RATE_LIMITED, "饱和"),
        (400, {"error": {"message": "upstream said 500", "type": "upstream_error", "code": "bad_response_status_code"}}, C.TRANSIENT, "upstream"),
        (401, {"error": {"message": "invalid token", "type": "comet_api_error", "code": ""}}, C.AUTH, "invalid token"),
        (401, {"code": "Unauthorized", "message": "no such key", "data": None}, C.AUTH, "no such key"),
        (422, {"detail": [{"loc": ["body", "size"], "msg": "unexpected value"}]}, C.INVALID, "unexpected value"),
        (400, {"success": False, "msg": "size is wrong"}, C.INVALID, "size is wrong"),
        (200, {"created": 1, "data": []}, C.NO_IMAGE, "no image"),
        (200, {"created": 1, "data": [{"error": {"code": "content_filter", "message": "sensitive"}}]}, C.REFUSED, "sensitive"),
        (200, {"error": {"message": "no money", "type": "insufficient_quota"}}, C.BILLING, "no money"),
        # xAI
        (403, {"code": "forbidden", "error": "Content violates usage guidelines."}, C.REFUSED, "guidelines"),
        (400, {"error": "Generated image rejected by content moderation."}, C.REFUSED, "moderation"),
        (400, {"error": "Incorrect API key provided: xa***yz. You can obtain one."}, C.AUTH, "API key"),
        (403, {"error": "Your team has no credits left."}, C.BILLING, "credits"),
        (403, {"code": "forbidden", "error": "Your newly created team doesn't have any credits yet."}, C.BILLING, "credits"),
        # Volcengine, DashScope
        (400, {"error": {"code": "InputTextSensitiveContentDetected", "message": "may contain"}}, C.REFUSED, "may contain"),
        (400, {"error": {"code": "InputImageSensitiveContentDetected", "message": "may contain"}}, C.REFUSED, "may contain"),
        (200, {"data": [{"error": {"code": "OutputImageSensitiveContentDetected", "message": "x"}}]}, C.REFUSED, "x"),
        (400, {"code": "DataInspectionFailed", "message": "data may be unfit"}, C.REFUSED, "unfit"),
        (403, {"error": {"code": "AccountOverdueError", "message": "overdue balance"}}, C.BILLING, "overdue"),
        # LiteLLM
        (400, {"error": {"message": "litellm.ContentPolicyViolationError: no", "type": None, "code": "400"}}, C.REFUSED, "no"),
        (429, {"error": {"message": "Budget has been exceeded!", "type": "budget_exceeded", "code": "429"}}, C.BILLING, "Budget"),
        (400, {"error": {"message": "Invalid model name passed in model=nope-x", "code": "400"}}, C.MODEL, "nope-x"),
        # SiliconFlow
        (400, {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None}, C.MODEL, "exist"),
        (403, {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None}, C.BILLING, "balance"),
        # a proxy that strips codes
        (429, {"error": {"message": "You exceeded your current quota, please check your plan and billing details."}}, C.BILLING, "quota"),
        # what only sounds like it
        (429, {"error": {"message": "Quota of images per minute exceeded, try again in 12s"}}, C.RATE_LIMITED, "Quota"),
        (400, {"error": {"message": "Invalid value for moderation: 'none'", "param": "moderation"}}, C.INVALID, "moderation"),
        (400, {"error": {"message": "This model takes no size", "param": "size"}}, C.INVALID, "size"),
        (400, {"error": {"message": "Invalid value for content moderation"}}, C.INVALID, "moderation"),
        (403, {"error": {"message": "Country not supported"}}, C.AUTH, "Country"),
        (400, {"error": {"message": "white balance must be a number"}}, C.INVALID, "balance"),
    ],
)  # fmt: skip
def test_an_error(status: int, document: JsonValue, expected: C, words: str) -> None:
    """Envelopes of CometAPI, new-api, FastAPI servers and makers who put an error where the image should be."""
    assert image_of(document, Received(status, {}), MASK) is None
    failure = classify_status(status, {}, error_of(document, MASK), "", NOW)
    assert expected is failure.failure_class
    assert words in failure.reason


def test_a_request_id_in_the_words() -> None:
    """Where no header tells it, the message's own id is kept, to ask the provider about."""
    error = error_of({"error": {"message": "bad (request id: 20261123abc)", "code": ""}}, MASK)
    assert "20261123abc" == classify_status(500, {}, error, "", NOW).request_id
