"""A provider's settings and the environment -> where requests go, with which key."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from batchgen.catalogue.dialects import Dialect
from batchgen.core.errors import UsageError
from batchgen.providers.settings import SANDBOX, ProviderSettings

SANDBOX_KEY = "sandbox"
"""The sandbox takes any key; a constant one shows that it is none."""

EMBEDDED_HOST = "embedded sandbox"
"""The host where the provider is this process itself: its port changes with every run."""

_BLANKS = " \t\r\n\ufeff"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A key that does not show itself when it is printed or logged."""

    _value: str

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def reveal(self) -> str:
        """The key itself, for the header that carries it and for masking it elsewhere."""
        return self._value


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One provider, ready to be opened. `base_url` has no slash at its end."""

    base_url: str
    key: Secret
    deadline_s: float
    trust_env: bool
    dialect: Dialect


def resolve(
    settings: ProviderSettings,
    environ: Mapping[str, str],
    *,
    base_url: str | None = None,
    keyless: bool = False,
) -> Endpoint:
    """Settle address and key; `base_url` (a flag) is above the environment, which is above the settings.

    An address from a flag or the environment that has no path gets `/v1`; any other path stays as it is. `keyless` is
    for what can do without: the key is empty then where no variable holds one.
    Raises `UsageError` in plain words, which never hold a key.
    """
    url = _address(settings, environ, base_url)
    without = keyless and settings.name != SANDBOX and not any(name in environ for name in settings.key_env)
    return Endpoint(
        base_url=url.geturl().rstrip("/"),
        key=Secret("" if without else _key(settings, environ)),
        deadline_s=settings.deadline_s,
        trust_env=settings.trust_env,
        dialect=settings.dialect,
    )


def is_embedded(settings: ProviderSettings, base_url: str | None) -> bool:
    """Whether the provider is the sandbox, served inside this process."""
    return settings.name == SANDBOX and not base_url and not settings.base_url


def host_of(settings: ProviderSettings, environ: Mapping[str, str], *, base_url: str | None = None) -> str:
    """The host that `resolve` would settle on, with its port if that is named; a plan needs no key.

    It is noted in sidecars, on the ledger and in kept lists. Raises `UsageError`.
    """
    if is_embedded(settings, base_url):
        return EMBEDDED_HOST
    return _address(settings, environ, base_url).netloc


def address_of(settings: ProviderSettings, environ: Mapping[str, str], *, base_url: str | None = None) -> str:
    """The base URL that `resolve` would settle on. Raises `UsageError`."""
    return _address(settings, environ, base_url).geturl()


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine, without asking a name server."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(settings: ProviderSettings, environ: Mapping[str, str], flag: str | None) -> SplitResult:
    variable = settings.base_url_env or ""
    from_environ = environ.get(variable, "").strip(_BLANKS)
    if flag is not None:
        return _given(settings, flag.strip(_BLANKS), "--base-url")
    if from_environ:
        return _given(settings, from_environ, variable)
    if not settings.base_url:
        raise UsageError(f"provider {settings.name} has no address: give one with --base-url")
    return _checked(settings.base_url.strip(_BLANKS), f"base_url of provider {settings.name}")


def _given(settings: ProviderSettings, text: str, origin: str) -> SplitResult:
    """An address that was typed for this run: with or without `/v1`, and not in the clear by mistake."""
    url = _checked(text, origin)
    meant = settings.base_url.startswith("http://")
    if url.scheme == "http" and not is_loopback(url.hostname or "") and not meant:
        raise UsageError(
            f"{origin}: http would send the key unencrypted to {url.hostname}; write https://, "
            "or name the provider in batchgen.yaml with an http base_url if that is meant"
        )
    return url if url.path.strip("/") else url._replace(path="/v1")


def _checked(text: str, origin: str) -> SplitResult:
    """An address that can be a base URL, its host in lower case. What is wrong is said without its secrets."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise UsageError(f"{origin}: this is no URL (write https://HOST/v1)") from None
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise UsageError(f"{origin}: this is no web address (write https://HOST/v1)")
    if "@" in url.netloc:
        raise UsageError(
            f"{origin}: a user name or password does not belong in the URL; the key has its own variable"
        )
    if url.query or url.fragment:
        raise UsageError(f"{origin}: leave out everything from the first ? or # on")
    if any(char.isspace() or not char.isprintable() for char in text):
        raise UsageError(f"{origin}: there is a blank or an invisible character inside the URL")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return url._replace(netloc=host if port is None else f"{host}:{port}")


def _key(settings: ProviderSettings, environ: Mapping[str, str]) -> str:
    if settings.name == SANDBOX:
        return SANDBOX_KEY
    variable = next((name for name in settings.key_env if name in environ), None)
    if variable is None:
        names = " or ".join(settings.key_env) or "a variable, and name it as key_env in batchgen.yaml"
        raise UsageError(
            f"no key for provider {settings.name}: set {names} (or try the job with --provider sandbox, "
            "which needs none)"
        )
    key = environ[variable].strip(_BLANKS)
    if not key:
        raise UsageError(f"{variable} is blank: put the key of provider {settings.name} in it, or unset it")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(
            f"{variable} holds characters that no key has (a line break or a blank?): copy the key again"
        )
    return key
