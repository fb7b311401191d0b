"""What providers say in an error and what it means: codes, then words, which decide only where no code does.

Codes are in lower case. Those without a comment are documented by OpenAI, CometAPI or the new-api gateway.
"""

from __future__ import annotations

import re

REFUSED_CODES = frozenset(
    {
        "moderation_blocked",
        "content_policy_violation",
        "content_filter",
        "prompt_blocked",
        "sensitive_words_detected",
        # Volcengine, DashScope and LiteLLM
        "inputtextsensitivecontentdetected",
        "inputimagesensitivecontentdetected",
        "outputimagesensitivecontentdetected",
        "datainspectionfailed",
        "contentpolicyviolationerror",
    }
)
BILLING_CODES = frozenset(
    {
        "insufficient_quota",
        "insufficient_user_quota",
        "pre_consume_token_quota_failed",
        "billing_hard_limit_reached",
        "billing_not_active",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
        # LiteLLM, DashScope and Volcengine
        "budget_exceeded",
        "arrearage",
        "accountoverdueerror",
    }
)
MODEL_CODES = frozenset({"model_not_found", "unsupported_model"})
AUTH_CODES = frozenset({"invalid_api_key", "account_deactivated"})
SUDDEN_CODE = "slow_down"
"""OpenAI: there were suddenly more requests. Go back to the rate before, keep it for 15 minutes, then rise slowly."""

LIMIT_CODES = frozenset({"rate_limit_exceeded", SUDDEN_CODE, "token_concurrency_limit_reached"})
INVALID_CODES = frozenset({"invalid_request", "convert_request_failed"})
MISTAKEN_TYPES = frozenset({"invalid_request_error", "image_generation_user_error"})
BUSY_CODES = frozenset({"bad_response_status_code"})

REFUSED_WORDS = re.compile(
    r"safety system|content[ _-]?(?:policy|policies|filter)|sensitive words?"
    r"|\b(?:blocked|failed|flagged|refused|rejected|not pass) (?:\w{1,20} ){0,3}content moderation"
    r"|\bviolat\w{1,5} (?:\w{1,20} ){0,3}usage guidelines",
    re.IGNORECASE,
)
"""OpenAI, LiteLLM and new-api; xAI, which says what moderation did, so that a setting of that name is none."""

MODEL_WORDS = re.compile(
    r"no available channel|无可用渠道|must be verified to use the model|invalid model name passed"
    r"|\bmodel (?:\S{1,200} )?does not exist",
    re.IGNORECASE,
)
"""new-api, OpenAI and LiteLLM; SiliconFlow, whose code is a bare number that may mean anything elsewhere."""

MONEY_WORDS = re.compile(
    r"check your plan and billing|\b(?:balance|credits?|funds) (?:is|are) (?:insufficient|not enough|exhausted)"
    r"|\b(?:insufficient|not enough|no|out of) (?:account )?(?:balance|credits?|funds)\b"
    r"|\b(?:doesn['\u2019]t|does not) have any credits|\boverdue (?:balance|payment)|\bpayment (?:is )?overdue"
    r"|余额不足|欠费",
    re.IGNORECASE,
)
"""OpenAI behind a proxy that strips codes, SiliconFlow, xAI and Volcengine. "Quota" alone is none: it may be of a minute."""

KEY_WORDS = re.compile(r"\b(?:incorrect|invalid) api[ _-]?key", re.IGNORECASE)
"""xAI says it with 400."""

BUSY_WORDS = re.compile(r"currently busy|saturated|饱和", re.IGNORECASE)
"""new-api and CometAPI."""
