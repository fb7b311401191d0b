"""What a link says of itself: whether it may be followed, and until when it works."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import SplitResult, parse_qsl, urlsplit

from batchgen.providers.endpoint import is_loopback
from batchgen.system.clock import moment_of, moment_text

_PORTS = {"http": 80, "https": 443}


def split_link(url: str) -> SplitResult | None:
    """Split a URL that has a host and a valid port; None for anything else."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def own(link: SplitResult, base: SplitResult) -> bool:
    """Whether a link leads to the host and port that the operator configured. Names of this machine are one."""
    same_port = _port(link) == _port(base)
    hosts = (link.hostname or "", base.hostname or "")
    return same_port and (hosts[0] == hosts[1] or all(map(is_loopback, hosts)))


def refusal(link: SplitResult | None, base: SplitResult) -> str | None:
    """Why a link is not followed; None when it may be. `http` is for the configured host alone."""
    if link is None:
        return "the link is no web address"
    if "@" in link.netloc:
        return "the link holds a user name"
    if link.scheme == "https" or (link.scheme == "http" and own(link, base)):
        return None
    return f"the link is {link.scheme or 'nothing'}, not https"


def _port(url: SplitResult) -> int | None:
    return url.port or _PORTS.get(url.scheme)


def expiry(url: str) -> str | None:
    """When a signed link stops working (UTC, ISO 8601), from its query; None when it does not say.

    Forms: Azure's `se`, Amazon's `X-Amz-Date` with `X-Amz-Expires`, and `Expires` in Unix seconds.
    """
    parts = split_link(url)
    try:
        query = dict(parse_qsl(parts.query, max_num_fields=100)) if parts else {}
        moment = _moment(query)
        return moment_text(moment) if moment else None
    except (ValueError, OverflowError):
        return None


def _moment(query: Mapping[str, str]) -> datetime | None:
    if "se" in query:
        moment = datetime.fromisoformat(query["se"])
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if "X-Amz-Expires" in query and "X-Amz-Date" in query:
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return signed + timedelta(seconds=int(query["X-Amz-Expires"]))
    if "Expires" in query:
        return datetime.fromtimestamp(int(query["Expires"]), UTC)
    return None


def expired_words(expires: str | None, now: datetime) -> str:
    """How long ago a link stopped working, for a reason; "" when that is not known or not so."""
    if expires is None:
        return ""
    late_s = (now - moment_of(expires)).total_seconds()
    return f"; it expired {late_s / 60:.0f} minutes ago" if late_s > 0 else ""
