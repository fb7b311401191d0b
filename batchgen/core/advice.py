"""What to do about each failure class: one sentence for the writer of the manifest, one for the operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from batchgen.core.types import FailureClass


@dataclass(frozen=True, slots=True)
class Advice:
    """A title for a group of failures, and what each reader can do."""

    title: str
    writer: str
    operator: str


ADVICE: Mapping[FailureClass, Advice] = MappingProxyType(
    {
        FailureClass.REFUSED: Advice(
            "Refused by the provider's content rules",
            "Reword the prompt, then run again; nothing was charged for the refusal.",
            "The refusal is final for this prompt; the reason and the request id are on the ledger.",
        ),
        FailureClass.INVALID: Advice(
            "A setting was not accepted",
            "Change the setting that the reason names, then run again.",
            "The provider rejected the request's shape; compare it with `batchgen models MODEL`.",
        ),
        FailureClass.AUTH: Advice(
            "The key was not accepted",
            "Nothing to change in the manifest; tell the operator.",
            "Check the provider's key and the account's access, then run again.",
        ),
        FailureClass.BILLING: Advice(
            "The account has no credit left",
            "Nothing to change in the manifest; tell the operator.",
            "Top up the account or raise its spending limit, then run again.",
        ),
        FailureClass.MODEL: Advice(
            "The model is not available",
            "Choose another model (`batchgen models` lists them) or ask the operator.",
            "The model is missing, retired or not open to this account; a plain run tries it again.",
        ),
        FailureClass.RATE_LIMITED: Advice(
            "The provider asked to slow down",
            "Nothing to change; the next run tries again.",
            "Lower images_per_minute to the account's limit; a plain run tries these tasks again.",
        ),
        FailureClass.TRANSIENT: Advice(
            "The provider or the network had trouble",
            "Nothing to change; the next run tries again.",
            "Nothing was made for these requests; a plain run tries them again.",
        ),
        FailureClass.NO_IMAGE: Advice(
            "What came was no usable picture",
            "Reword the prompt and run again, or ask the operator to order it again.",
            "It may have been charged; the raw answer is in state/quarantine for a refund claim.",
        ),
        FailureClass.UNKNOWN: Advice(
            "The answer was lost",
            "It may have been made and paid for; ask the operator whether to order it again.",
            "It may have been charged; ask the provider with the attempt's id, then use `batchgen retry`.",
        ),
        FailureClass.DOWNLOAD: Advice(
            "The finished image could not be downloaded",
            "Nothing to change in the manifest; ask the operator to order it again.",
            "It was charged and its link no longer works; `batchgen retry` orders it again.",
        ),
        FailureClass.STORAGE: Advice(
            "The image could not be saved",
            "Nothing to change in the manifest; tell the operator.",
            "Check the disk and the output folder; a plain run tries again.",
        ),
    }
)
