"""The environment's proxy, for providers whose configuration says `trust_env: true`."""

from __future__ import annotations

from urllib.request import getproxies_environment, proxy_bypass

from yarl import URL

from batchgen.core.errors import UsageError


def proxy_of(base_url: str) -> URL | None:
    """The proxy that the environment names for a URL, None without one. Raises `UsageError` for one that is no URL.

    aiohttp's own `trust_env` would also read passwords from `.netrc`.
    """
    url = URL(base_url)
    text = getproxies_environment().get(url.scheme, "")
    if not text or url.host is None or proxy_bypass(url.host):
        return None
    try:
        proxy = URL(text if "://" in text else f"http://{text}")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in {"http", "https"} or not proxy.host:
        raise UsageError(f"{url.scheme}_proxy names no proxy that can be used: write http://HOST:PORT")
    return proxy


def proxy_host(base_url: str) -> str:
    """Host and port of that proxy, without the password that it may hold; "" without one. Raises `UsageError`."""
    proxy = proxy_of(base_url)
    return proxy.host_port_subcomponent or "" if proxy else ""
