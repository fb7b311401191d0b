"""Values that several parts of `batchgen.yaml` have."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from batchgen.manifest.fields import fault

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXAMPLES = {"key_env": ("the key itself", "GATEWAY_KEY"), "url_env": ("the address itself", "NOTIFY_URL")}


def _variable(value: str, info: ValidationInfo) -> str:
    """The name of a variable. What is written instead is not repeated: it may be the secret."""
    if not _VARIABLE.fullmatch(value):
        secret, example = _EXAMPLES[info.field_name or "key_env"]
        raise fault(
            f"`{info.field_name}` must be the name of an environment variable, never {secret} (write {example})"
        )
    return value


Variable = Annotated[str, AfterValidator(_variable)]
"""The name of the environment variable that holds a secret."""
Name = Annotated[str, Field(min_length=1)]
