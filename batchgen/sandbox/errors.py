"""Answers that are errors, in the API's own words and codes."""

from __future__ import annotations

from http import HTTPStatus


class ApiError(Exception):
    """An answer that is an error, in the API's own words and codes."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.kind = status, message, code, param, kind
        self.retry_after_s = retry_after_s


def bad(message: str, *, code: str | None = None, param: str | None = None) -> ApiError:
    """A request that cannot be taken."""
    return ApiError(HTTPStatus.BAD_REQUEST, message, code=code, param=param)


def refused() -> ApiError:
    """A prompt that may not be painted."""
    return ApiError(
        HTTPStatus.BAD_REQUEST,
        "Your request was rejected by the safety system.",
        kind="image_generation_user_error",
        code="moderation_blocked",
    )


def too_many(message: str, retry_after_s: float) -> ApiError:
    """More than the limit allows."""
    return ApiError(
        HTTPStatus.TOO_MANY_REQUESTS,
        message,
        kind="requests",
        code="rate_limit_exceeded",
        retry_after_s=retry_after_s,
    )
