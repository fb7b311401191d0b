"""The manifest's shape, version 1: pydantic models that check it and describe it to editors."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    WithJsonSchema,
    model_validator,
)

from batchgen.catalogue.references import MOST_REFERENCES
from batchgen.core.naming import ID_LIMIT, ID_PATTERN, id_fault
from batchgen.core.types import OnUnknown
from batchgen.manifest.fields import (
    MOMENT_PATTERN,
    SIMPLE,
    Duration,
    Moment,
    Rate,
    Shape,
    VariedValue,
    WantedValues,
    fault,
)

MOST_TASKS = 10_000
"""`max_tasks` when it is not set: a slip in `vary` or `images` is caught before it costs a month's budget."""


def _job_key(value: str) -> str:
    if message := id_fault(value):
        raise fault(f"`job` {message}")
    return value


_VALUES = {
    "anyOf": [
        {"type": "array", "minItems": 1, "items": SIMPLE},
        {
            "type": "object",
            "properties": {
                "file": {
                    "type": "string",
                    "description": "A text file in the manifest's folder, one value a line; # begins a comment.",
                    "examples": ["colors.txt"],
                }
            },
            "required": ["file"],
            "additionalProperties": False,
        },
    ]
}
RequestValues = dict[str, Any]
"""Parameters of a model, which the catalogue checks and describes."""


class Limits(Shape):
    """Bounds of the job; a value over an operator's ceiling is lowered with a notice."""

    images_per_minute: Rate | None = Field(
        None, description="Requests a minute of the whole job, or by model.", examples=[50, {"gpt-image-2": 20}]
    )
    concurrency: int | None = Field(
        None, ge=1, le=1024, description="Requests in flight at once; 8 when left out.", examples=[16]
    )
    budget_usd: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="The most that this job may ever spend, over all its runs, in US dollars.",
        examples=[25.0],
    )
    finish_by: Moment | None = Field(
        None,
        description="Nothing is sent after this time: the next such local time, or an ISO 8601 date-time. In quotes.",
        examples=["06:30", "2026-01-31T06:30:00+01:00"],
        json_schema_extra={
            "pattern": MOMENT_PATTERN,
            "errorMessage": 'Write "06:30", or a date with a time such as "2026-01-31T06:30:00+01:00".',
        },
    )
    max_duration: Duration | None = Field(
        None, description="How long a run may send; instead of `finish_by`.", examples=["5h", "90m", "1h30m"]
    )

    @model_validator(mode="after")
    def _one_end(self) -> Limits:
        if self.finish_by is not None and self.max_duration is not None:
            raise fault("finish_by and max_duration exclude each other (keep one of the two)")
        return self


class Retry(Shape):
    """How failed requests are tried again."""

    max_attempts: int = Field(5, ge=1, le=100, description="Requests for one task in one run.", examples=[5])
    on_unknown: Annotated[OnUnknown, Field(strict=False)] = Field(
        OnUnknown.RESEND,
        description="After a lost answer: `resend` once, perhaps paid twice, or `hold` for a person to decide.",
        examples=["resend", "hold"],
    )


class Report(Shape):
    """What the report of a job looks like."""

    thumbnails: bool | None = Field(None, description="Make small images for the report.", examples=[True])
    partials: bool | None = Field(
        None, description="Keep the partial images of streamed answers in `partials/`.", examples=[False]
    )


class PromptEntry(Shape):
    """One entry of `prompts`: an image, or many by `images` and `vary`."""

    elsewhere = MappingProxyType({"table": None})
    id: str = Field(
        description="Name of the prompt and of its images' files; unique without regard to case.",
        examples=["paper-boat", "mug-{color}"],
        json_schema_extra={
            "pattern": r"^([A-Za-z0-9]|\{[^{}]+\})([A-Za-z0-9_-]|\{[^{}]+\})*$",
            "errorMessage": "Write only letters A-Z, digits, - and _, beginning with a letter or digit.",
        },
    )
    prompt: str = Field(
        description="What the image shows. {name} is replaced by a varied value; {{ and }} are braces.",
        examples=["A {color} mug on an oak table, studio light."],
        json_schema_extra={"pattern": r"\S", "errorMessage": "The prompt is empty."},
    )
    model: str | None = Field(None, description="Model of this prompt.", examples=["gpt-image-2"])
    images: int = Field(1, ge=1, le=1_000_000, description="Images of every combination.", examples=[4])
    vary: dict[str, Annotated[list[VariedValue], Field(min_length=1), WithJsonSchema(_VALUES)]] = Field(
        default_factory=dict,
        description="Values by variable, or {file: NAME} with one value a line; every combination becomes an image.",
        examples=[{"color": ["red", "blue"]}, {"color": {"file": "colors.txt"}}],
    )
    exclude: list[dict[str, VariedValue]] = Field(
        default_factory=list,
        description="Combinations to leave out; one that names some variables leaves out all that match.",
        examples=[[{"color": "red", "surface": "marble"}]],
    )
    request: RequestValues | None = Field(
        None,
        description="Overrides the manifest's `request`; null removes a default.",
        examples=[{"quality": "high"}],
    )
    tags: list[str] = Field(
        default_factory=list, description="Words to find the images by.", examples=[["shop"]]
    )
    references: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        min_length=1,
        max_length=MOST_REFERENCES,
        description="Pictures that the image is made from: files in the manifest's folder.",
        examples=[["mug.png", "label.jpg"]],
    )
    mask: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="A PNG as large as the first reference; where it is transparent, the picture is painted anew.",
        examples=["mug-mask.png"],
    )


class TableEntry(PromptEntry):
    """An entry whose prompts come from a table: one prompt a row, its columns are variables."""

    elsewhere = MappingProxyType({})
    id: str = Field(
        "{id}",
        description="Name of each row's prompt, with columns as placeholders; the column `id` when left out.",
        examples=["{sku}"],
        json_schema_extra={"pattern": r"^[A-Za-z0-9{][A-Za-z0-9_{}-]*$"},
    )
    prompt: str = Field(
        "{prompt}",
        description="What the images show, with columns as placeholders; the column `prompt` when left out.",
        examples=["{name}: {tagline}. Catalogue photo."],
    )
    table: Annotated[str, Field(min_length=1)] = Field(
        description="A .csv, .tsv, .xlsx or .jsonl file in the manifest's folder; each row makes a prompt.",
        examples=["products.csv"],
    )
    sheet: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="The sheet of a workbook (.xlsx); the first one when left out.", examples=["Products"]
    )
    where: dict[str, WantedValues] = Field(
        default_factory=dict,
        description="Only rows with this value, or one of these values, in a column; all columns must fit.",
        examples=[{"ready": "yes"}, {"category": ["mugs", "plates"]}],
    )


class Head(Shape):
    """A manifest without its prompts."""

    elsewhere = MappingProxyType({"prompts": TableEntry})
    batchgen: Literal[1] = Field(description="Version of the manifest's format.", examples=[1])
    job: Annotated[str, AfterValidator(_job_key)] | None = Field(
        None,
        description="Name of the job and of its output folder; the file's name without ending when left out.",
        examples=["spring-campaign"],
        json_schema_extra={
            "pattern": f"^{ID_PATTERN}$",
            "maxLength": ID_LIMIT,
            "errorMessage": "Write only letters A-Z, digits, - and _, beginning with a letter or digit.",
        },
    )
    description: str = Field("", description="What the job is for.", examples=["Spring landing pages"])
    provider: str | None = Field(
        None,
        description="Who makes the images: cometapi, openai, sandbox, or one that the operator configured.",
        examples=["cometapi", "sandbox"],
    )
    model: str | None = Field(
        None, description="Model of all prompts that name none.", examples=["gpt-image-2"]
    )
    request: RequestValues | None = Field(
        None,
        description="Parameters of every request; `batchgen models MODEL` lists what a model takes.",
        examples=[{"size": "1536x1024", "quality": "medium"}],
    )
    prompt_template: str | None = Field(
        None,
        description="Wraps every prompt; holds {prompt}.",
        examples=["{prompt} Flat vector style, teal and orange."],
        json_schema_extra={
            "pattern": r"\{prompt\}",
            "errorMessage": "Write {prompt} where the prompt belongs.",
        },
    )
    limits: Limits = Field(default=Limits(), description="Bounds of the job.", examples=[{"budget_usd": 25.0}])
    retry: Retry = Field(
        default=Retry(), description="What follows a failed request.", examples=[{"max_attempts": 5}]
    )
    max_tasks: int = Field(
        MOST_TASKS,
        ge=1,
        le=100_000_000,
        description="More tasks than this are a mistake.",
        examples=[MOST_TASKS],
    )
    priority: int = Field(
        0, ge=-1000, le=1000, description="Jobs with a higher number run first in a night.", examples=[10]
    )
    report: Report = Field(
        default=Report(), description="How the report looks.", examples=[{"thumbnails": True}]
    )


class ManifestFile(Head):
    """A job manifest of batchgen: which images to make, with which model, within which limits."""

    prompts: list[PromptEntry | TableEntry] = Field(
        min_length=1,
        description="What to make.",
        examples=[[{"id": "paper-boat", "prompt": "A paper boat at sunrise."}]],
    )
