"""The shape of `batchgen.yaml` as a whole, and of a provider in it: pydantic models that check it."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from batchgen.config.fields import Variable
from batchgen.config.telling import MetricsShape, OneHeartbeat, Targets
from batchgen.core.limits import FASTEST_PER_MINUTE, SLOWEST_PER_MINUTE
from batchgen.core.plain import is_web_address
from batchgen.manifest.fields import Duration, Shape, fault
from batchgen.manifest.schema import Limits as LimitsShape
from batchgen.manifest.schema import Report
from batchgen.providers.settings import REQUEST_DEADLINE_S
from batchgen.system.addresses import is_url, url_fault
from batchgen.system.buckets import PATIENCE_S


def _base_url(value: str) -> str:
    """A provider's address. The text of a wrong one is not repeated: it may hold a key."""
    if wrong := _url_fault(value):
        raise fault(f"`base_url` {wrong}")
    return value.rstrip("/")


def _endpoint(value: str) -> str:
    if wrong := _url_fault(value):
        raise fault(f"`endpoint` {wrong}")
    return value.rstrip("/")


def _url_fault(value: str) -> str | None:
    if not is_web_address(value):
        return "is no web address (write one such as https://images.example.com/v1)"
    if "@" in urlsplit(value).netloc:
        return "must not hold a user or a key (name the key's variable in key_env)"
    if "?" in value or "#" in value:
        return "must not have a query or fragment (end it after the path)"
    return None


Rate = Annotated[float, Field(ge=SLOWEST_PER_MINUTE, le=FASTEST_PER_MINUTE, allow_inf_nan=False)]
Parallel = Annotated[int, Field(ge=1, le=1024)]


class CeilingShape(Shape):
    """The ceiling of a model, or of several that share it."""

    images_per_minute: Rate | None = Field(None, examples=[20])
    concurrency: Parallel | None = Field(None, examples=[8])


class ProviderShape(Shape):
    """One provider."""

    base_url: Annotated[str, AfterValidator(_base_url)] | None = Field(
        None, examples=["https://images.example.com/v1"]
    )
    key_env: Variable | None = Field(None, examples=["GATEWAY_KEY"])
    dialect: Any = Field("openai", examples=["openai"])
    idempotent: bool = Field(default=False, examples=[False])
    trust_env: bool = Field(default=False, examples=[False])
    images_per_minute: Rate | None = Field(None, examples=[120])
    concurrency: Parallel | None = Field(None, examples=[32])
    deadline: Duration = Field(REQUEST_DEADLINE_S, examples=["600s"])
    models: dict[str, CeilingShape] = Field(
        default_factory=dict, examples=[{"gpt-image-2": {"images_per_minute": 20}}]
    )


def _output(value: str) -> str:
    """A folder, or an object store's address, which is not repeated where it is wrong."""
    if is_url(value) and (wrong := url_fault(value)):
        raise fault(f"`output` {wrong}")
    return value.rstrip("/") if is_url(value) else value


def _patience(value: float) -> float:
    if value > PATIENCE_S:
        raise fault(
            f"`patience` is {PATIENCE_S:g} s at most (a run that stops goes on for free when it is run again)"
        )
    return value


class ObjectsShape(Shape):
    """What an object store needs to know beside its address; keys come from the environment."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        None, examples=["https://s3.example.com"]
    )
    region: Annotated[str, Field(min_length=1)] | None = Field(None, examples=["eu-central-1"])
    allow_http: bool | None = Field(None, examples=[False])
    virtual_hosted_style_request: bool | None = Field(None, examples=[False])
    patience: Annotated[Duration, AfterValidator(_patience)] = Field(PATIENCE_S, examples=["100s"])


class RayShape(Shape):
    """Where the engine ray finds its cluster."""

    address: Annotated[str, Field(min_length=1)] | None = Field(None, examples=["auto"])


class ConfigShape(Shape):
    """The file, all but what is checked entry by entry."""

    providers: dict[str, Any] = Field(default_factory=dict, examples=[{"cometapi": {"images_per_minute": 120}}])
    catalogue: dict[str, Any] = Field(default_factory=dict, examples=[{"my-model": {"family": "gpt-image-2"}}])
    defaults: LimitsShape = Field(default=LimitsShape(), examples=[{"concurrency": 8}])
    output: Annotated[str, Field(min_length=1), AfterValidator(_output)] = Field("output", examples=["output"])
    objects: ObjectsShape = Field(default=ObjectsShape(), examples=[{"region": "eu-central-1"}])
    engine: Literal["local", "ray"] = Field("local", examples=["local"])
    ray: RayShape = Field(default=RayShape(), examples=[{"address": "auto"}])
    verify: Literal["structure", "decode"] = Field("structure", examples=["structure"])
    report: Report = Field(default=Report(), examples=[{"thumbnails": True}])
    notify: Targets = Field(default_factory=list, examples=[[{"url_env": "NOTIFY_URL"}]])
    metrics: MetricsShape = Field(default=MetricsShape(), examples=[{"textfile": None}])
    heartbeat: OneHeartbeat | None = Field(None, examples=[{"url_env": "HEARTBEAT_URL"}])
