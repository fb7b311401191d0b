"""The values that travel through batchgen: frozen, slotted, free of clocks, disks and networks.

Money is in US dollars, rounded to whole micro-dollars where it is made (see `batchgen.core.money.usd`).
Durations are seconds (`_s`), sizes are bytes (`_bytes`), moments are UTC as ISO 8601 text with milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

JsonScalar = str | int | float | bool | None
JsonValue = JsonScalar | list["JsonValue"] | dict[str, "JsonValue"]
JsonObject = Mapping[str, JsonValue]

Blob = bytes | bytearray
"""Bytes as they were collected: megabytes are handed on without a copy, and nobody changes them."""


class TaskState(StrEnum):
    """Where a task stands; `docs/ledger.md` has the transitions."""

    PENDING = "pending"
    SENT = "sent"
    RECEIVED = "received"
    STORED = "stored"
    FAILED = "failed"
    HELD = "held"


class AttemptState(StrEnum):
    """Where one sent request stands; one whose answer was lost is `failed` with class `unknown`."""

    SENT = "sent"
    RECEIVED = "received"
    STORED = "stored"
    FAILED = "failed"


class FailureClass(StrEnum):
    """Why an attempt brought no stored image. `batchgen.core.advice` says what to do about each."""

    REFUSED = "refused"
    INVALID = "invalid"
    AUTH = "auth"
    BILLING = "billing"
    MODEL = "model"
    RATE_LIMITED = "rate_limited"
    TRANSIENT = "transient"
    NO_IMAGE = "no_image"
    UNKNOWN = "unknown"
    DOWNLOAD = "download"
    STORAGE = "storage"


class Paid(StrEnum):
    """Whether the provider is likely to charge for an attempt that failed."""

    NO = "no"
    MAYBE = "maybe"
    YES = "yes"


class Change(StrEnum):
    """What a plan says of a task, like a line of a diff."""

    NEW = "new"
    CHANGED = "changed"
    RETRY = "retry"
    FAILED = "failed"
    HELD = "held"
    MISSING = "missing"
    KEPT = "kept"
    REMOVED = "removed"


class StopReason(StrEnum):
    """Why a run ended with work left."""

    BUDGET = "budget"
    DEADLINE = "deadline"
    LATER = "later"
    AUTH = "auth"
    BILLING = "billing"
    BREAKER = "breaker"
    SIGNAL = "signal"
    STORAGE = "storage"


class PriceKind(StrEnum):
    """How sure a price is: by a known formula or table, a guess marked `~`, or not known at all."""

    EXACT = "exact"
    ESTIMATE = "estimate"
    UNPRICED = "unpriced"


class OnUnknown(StrEnum):
    """What happens to a task whose answer was lost."""

    RESEND = "resend"
    HOLD = "hold"


class TokenRates(Struct, frozen=True):
    """Prices of a model in USD per million tokens."""

    text_in: float
    image_in: float
    image_out: float


class Usage(Struct, frozen=True):
    """Tokens that an answer says it used; counts that the answer left out are 0."""

    text_in: int
    image_in: int
    image_out: int


class Price(Struct, frozen=True):
    """What one image costs at one provider.

    `expected_usd` is what a plan adds up, `bound_usd` what is reserved before the request (an upper bound),
    `list_usd` what the model's maker would charge (shown beside the sandbox's $0.00). All are None when
    unpriced. `rates` turn an answer's usage into money; None for a flat price and for the sandbox.
    """

    kind: PriceKind
    expected_usd: float | None = None
    bound_usd: float | None = None
    list_usd: float | None = None
    rates: TokenRates | None = None


class Reference(Struct, frozen=True):
    """A picture that goes along with a prompt: a file, relative to the manifest's folder with `/`, and its content."""

    file: str
    sha256: str
    size_bytes: int
    media_type: str
    width: int
    height: int


class ImageRequest(Struct, frozen=True):
    """What is asked of a provider, always for one image. Parameters are the manifest's own, never defaults.

    With `references` an image is made from pictures; `mask` says where the first of them is painted over.
    """

    model: str
    prompt: str
    parameters: JsonObject = field(default_factory=dict)
    extra: JsonObject = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    mask: Reference | None = None

    @property
    def pictures(self) -> tuple[Reference, ...]:
        """All that go along, the mask last."""
        return self.references if self.mask is None else (*self.references, self.mask)


class Task(Struct, frozen=True):
    """One image to be made. `position` is its place in the manifest's expansion, from 0."""

    task_id: str
    prompt_id: str
    position: int
    sample: int
    request: ImageRequest
    fingerprint: str
    price: Price
    tags: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def forgotten_task(task_id: str, fingerprint: str) -> Task:
    """A task of which nobody knows any more what it asked for."""
    return Task(task_id, task_id, 0, 1, ImageRequest("", ""), fingerprint, Price(PriceKind.UNPRICED))


class RetryPolicy(Struct, frozen=True):
    """The manifest's `retry`. Five attempts outlast a minute of trouble; `resend` finishes a night unattended."""

    max_attempts: int = 5
    on_unknown: OnUnknown = OnUnknown.RESEND


class Limits(Struct, frozen=True):
    """Bounds of one job. None means unbounded (`concurrency` is always bounded).

    `images_per_minute` is of the whole job; `model_images_per_minute` of single models.
    `finish_by` is a local time `HH:MM` or an ISO 8601 date-time, as written in the manifest.
    """

    images_per_minute: float | None = None
    model_images_per_minute: Mapping[str, float] = field(default_factory=dict)
    concurrency: int = 8
    budget_usd: float | None = None
    finish_by: str | None = None
    max_duration_s: float | None = None


class Attempt(Struct, frozen=True):
    """One request sent for a task. `attempt_id` is a UUID, sent as `X-Client-Request-Id`."""

    attempt_id: str
    task: Task
    number: int
    run_id: str
    idempotency_key: str
    started: str
    possible_duplicate: bool = False


class Answer(Struct, frozen=True):
    """What a provider said beside the image: kept in the sidecar. `raw` has no image bytes and no key in it.

    `exhausted_s` is how long nothing is left of a rate limit, and `limit_per_minute` that limit, by the answer's headers;
    None when that is not said.
    """

    http_status: int
    request_id: str | None = None
    usage: Usage | None = None
    revised_prompt: str | None = None
    raw: JsonObject = field(default_factory=dict)
    exhausted_s: float | None = None
    limit_per_minute: float | None = None


class Link(Struct, frozen=True):
    """An image as a URL, paid for and still to be fetched. The URL is a secret until it expires.

    `more` are the URLs of further images of the same answer.
    """

    url: str
    answer: Answer
    expires: str | None = None
    more: tuple[str, ...] = ()


class ImageBytes(Struct, frozen=True):
    """An image as it arrived: base64 text exactly as in the answer, or the raw bytes of a download.

    Decoding waits for the store's thread, so that megabytes are not decoded on the event loop.
    `more` are further images of an answer that brought more than the one asked for: the first that is one is stored,
    and none that is paid for is thrown away. `further` are images that it only links to; `instead` is where to look
    when none of the bytes are an image.
    """

    encoded: str | Blob
    answer: Answer
    more: tuple[str | Blob, ...] = ()
    further: Link | None = None
    instead: Link | None = None

    @property
    def length(self) -> int:
        """Letters and bytes of it, all images together."""
        return sum(len(encoded) for encoded in (self.encoded, *self.more))


class Media(Struct, frozen=True):
    """What the bytes themselves say: type such as `image/png`, extension without a dot, size in pixels."""

    media_type: str
    extension: str
    width: int
    height: int


class StoredImage(Struct, frozen=True):
    """An image on disk under its final name; `file` is relative to the job's folder, with `/`."""

    attempt_id: str
    task_id: str
    fingerprint: str
    file: str
    sha256: str
    size_bytes: int
    mtime_ns: int
    media: Media
    cost_usd: float | None


class Stored(Struct, frozen=True):
    """An attempt whose image is durable.

    `superseded` maps attempt ids of replaced images to their new files. `more` are further images that the answer
    brought, which lie in `superseded/`.
    """

    image: StoredImage
    answer: Answer
    superseded: Mapping[str, str] = field(default_factory=dict)
    more: tuple[StoredImage, ...] = ()


class Failure(Struct, frozen=True):
    """An attempt that brought no image. `reason` is one line for people, without keys or signed URLs.

    `retry_after_s` is how long the provider asked to wait; None when it said nothing usable.
    `nothing_sent` is True when the request never left this machine. `same_cause` is True when another failure tells
    of what happened already: a worker that is lost takes all its requests with it, and that is one event.
    `too_sudden` is whether the provider asks to come back slowly, since it was sent more from one moment to the next.
    """

    failure_class: FailureClass
    reason: str
    paid: Paid = Paid.NO
    http_status: int | None = None
    request_id: str | None = None
    retry_after_s: float | None = None
    nothing_sent: bool = False
    same_cause: bool = False
    too_sudden: bool = False
