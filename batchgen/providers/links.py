"""What a link says of itself: whether it may be followed, and until when it works."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from yarl import URL

from batchgen.providers.endpoint import is_loopback
from batchgen.system.clock import moment_of, moment_text


def parse_link(text: str) -> URL | None:
    """A URL as it was written, since quoting it anew could break its signature; None when it is none."""
    exact = text.isascii() and text.isprintable() and " " not in text
    try:
        return URL(text, encoded=exact)
    except ValueError:
        return None


def own(link: URL, base: URL) -> bool:
    """Whether a link leads to the host and port that the operator configured. Names of this machine are one."""
    hosts = (link.host or "", base.host or "")
    return link.port == base.port and (hosts[0] == hosts[1] or all(map(is_loopback, hosts)))


def refusal(link: URL | None, base: URL) -> str | None:
    """Why a link is not followed; None when it may be. `http` is for the configured host alone, if that is so itself."""
    if link is None or not link.host:
        return "it is no web address"
    if link.user is not None or link.password is not None:
        return "it holds a user name or password"
    if link.scheme == "https" or (link.scheme == base.scheme == "http" and own(link, base)):
        return None
    return f"it is {link.scheme}, not https"


def expiry(url: str) -> str | None:
    """When a signed link stops working (UTC, ISO 8601), from its query; None when it does not say.

    Forms: Azure's `se`, Amazon's `X-Amz-Date` with `X-Amz-Expires`, and `Expires` in Unix seconds.
    """
    link = parse_link(url)
    try:
        moment = _moment(link.query) if link else None
        return moment_text(moment) if moment else None
    except (ValueError, OverflowError, OSError):  # OSError: seconds that the platform's calendar lacks
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
