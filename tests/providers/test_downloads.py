"""Fetching links: patient with trouble, strict about where they lead, and never with the key."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from batchgen.core.errors import AttemptError
from batchgen.core.types import FailureClass, Paid
from batchgen.core.values import replace
from batchgen.providers.downloads import DownloadPolicy
from batchgen.providers.http import open_provider
from batchgen.providers.links import parse_link, refusal
from tests.providers.servers import KEY, Ending, answering, endpoint_of, link_to, raw_serving, serving, told

pytestmark = pytest.mark.anyio

AT_ONCE = DownloadPolicy(delay_s=lambda _tried: 0.0)
ELSEWHERE = "https://api.example.com/v1"
BYTES = b"\x89PNG and more" * 50_000


async def refused(base_url: str, url: str, *, expires: str | None = None) -> AttemptError:
    """The error of one download, which must not show the key nor the link's signature."""
    async with open_provider(endpoint_of(base_url), concurrency=2, downloads=AT_ONCE) as provider:
        with pytest.raises(AttemptError) as caught:
            await provider.fetch(link_to(url, expires=expires))
    assert KEY not in told(caught.value)
    assert "secret-signature" not in caught.value.failure.reason
    assert (Paid.YES, "req-7") == (caught.value.failure.paid, caught.value.failure.request_id)
    return caught.value


async def test_an_image_arrives_as_it_is_without_the_key_being_shown() -> None:
    """Bytes come unchanged; no Authorization, no cookie goes to the host of the link."""
    handler = answering(BYTES, headers={"Set-Cookie": "a=b"})
    async with serving(handler) as files, open_provider(endpoint_of(files.base_url), concurrency=2) as provider:
        first = await provider.fetch(link_to(f"{files.base_url}/a%2Fb.png?sig=x%2By"))
        again = await provider.fetch(link_to(f"{files.base_url}/a%2Fb.png?sig=x%2By"))

    assert (BYTES, BYTES, "req-7") == (first.encoded, again.encoded, first.answer.request_id)
    assert ["/v1/a%2Fb.png?sig=x%2By"] * 2 == [request.raw_path for request in files.requests]
    assert not any({"Authorization", "Cookie"} & set(request.headers) for request in files.requests)


@pytest.mark.parametrize("encoding", ["gzip", "br", "utf-8", ""])
@pytest.mark.parametrize("body", [gzip.compress(BYTES, mtime=0), BYTES], ids=["packed", "plain"])
async def test_a_download_is_what_its_bytes_are(encoding: str, body: bytes) -> None:
    """A host that compresses what should come as it is, or only says so, still delivers the image."""
    handler = answering(body, headers={"Content-Encoding": encoding})
    async with serving(handler) as files, open_provider(endpoint_of(files.base_url), concurrency=1) as provider:
        image = await provider.fetch(link_to(f"{files.base_url}/a.png"))

    assert BYTES == image.encoded


async def test_passing_trouble_is_tried_again() -> None:
    """Errors of the host and a rate limit are followed by another try, up to five."""
    script = iter([(500, b""), (429, b""), (408, b""), (503, b""), (200, BYTES)])

    async def answer(_request: web.Request) -> web.StreamResponse:
        status, body = next(script)
        return web.Response(status=status, body=body)

    async with (
        serving(answer) as files,
        open_provider(endpoint_of(files.base_url), concurrency=1, downloads=AT_ONCE) as provider,
    ):
        image = await provider.fetch(link_to(f"{files.base_url}/a.png"))

    assert (BYTES, 5) == (image.encoded, len(files.requests))


async def test_trouble_that_stays_leaves_the_link_to_the_next_run() -> None:
    """After five tries the failure is `transient`: the link is paid for and may still work."""
    async with serving(answering(b"", status=503)) as files:
        error = await refused(files.base_url, f"{files.base_url}/a.png")

    assert (FailureClass.TRANSIENT, 5) == (error.failure.failure_class, len(files.requests))


async def test_a_short_body_is_tried_again() -> None:
    """A body shorter than its length is not taken for an image."""
    async with raw_serving(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf") as files:
        error = await refused(files.base_url, f"{files.base_url}/a.png")

    assert (FailureClass.TRANSIENT, 5) == (error.failure.failure_class, len(files.requests))


async def test_a_host_that_does_not_answer_is_asked_again() -> None:
    """Each try has its own deadline, and all of them leave the link to the next run."""
    policy = DownloadPolicy(tries=3, try_deadline_s=0.05, delay_s=lambda _tried: 0.0)
    async with (
        raw_serving(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Ending.HANG) as files,
        open_provider(endpoint_of(files.base_url), concurrency=1, downloads=policy) as provider,
    ):
        with pytest.raises(AttemptError) as caught:
            await provider.fetch(link_to(f"{files.base_url}/a.png"))

    assert (FailureClass.TRANSIENT, 3) == (caught.value.failure.failure_class, files.connections)


@pytest.mark.parametrize("status", [400, 403, 404, 410])
async def test_a_dead_link_is_asked_once(status: int) -> None:
    """A link that the host no longer serves is `download`, with the time since it expired."""
    async with serving(answering(b"<Error/>", status=status)) as files:
        url = f"{files.base_url}/a.png?X-Amz-Signature=secret-signature"
        error = await refused(files.base_url, url, expires="2020-01-01T00:00:00.000Z")

    assert (FailureClass.DOWNLOAD, status) == (error.failure.failure_class, error.failure.http_status)
    assert "expired" in error.failure.reason
    assert 1 == len(files.requests)


@pytest.mark.parametrize(
    ("statuses", "wanted"),
    [
        ((200, 200, 200), [b"0", b"1", b"2"]),
        ((404, 200, 503), [b"1"]),
        ((503, 404, 200), [b"2"]),
        ((404, 503, 404), FailureClass.TRANSIENT),
        ((404, 410, 403), FailureClass.DOWNLOAD),
    ],
)
async def test_further_links_are_fetched_too(statuses: tuple[int, ...], wanted: object) -> None:
    """Whatever can be had is brought, in order; only where nothing can be, the links wait for the next run, or are dead."""

    async def answer(request: web.Request) -> web.StreamResponse:
        number = int(request.query["n"])
        return web.Response(status=statuses[number], body=str(number).encode())

    policy = DownloadPolicy(tries=2, delay_s=lambda _tried: 0.0)
    async with (
        serving(answer) as files,
        open_provider(endpoint_of(files.base_url), concurrency=1, downloads=policy) as provider,
    ):
        first, *more = (f"{files.base_url}/a.png?n={number}" for number in range(3))
        try:
            image = await provider.fetch(replace(link_to(first), more=tuple(more)))
            assert wanted == [image.encoded, *image.more]
        except AttemptError as error:
            assert wanted == error.failure.failure_class


async def test_further_links_are_not_waited_for_very_long() -> None:
    """One that hangs keeps the image that is there for the time of one try."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "more" in request.query:
            await asyncio.Event().wait()
        return web.Response(body=BYTES)

    policy = DownloadPolicy(try_deadline_s=0.1, delay_s=lambda _tried: 0.0)
    async with (
        serving(answer) as files,
        open_provider(endpoint_of(files.base_url), concurrency=1, downloads=policy) as provider,
    ):
        url = f"{files.base_url}/a.png"
        image = await provider.fetch(replace(link_to(url), more=(f"{url}?more=1", f"{url}?more=2")))
        assert ([BYTES], 2) == ([image.encoded, *image.more], len(files.requests))


async def test_redirects_are_followed_three_times() -> None:
    """Three hops reach the image, a fourth is refused."""

    async def answer(request: web.Request) -> web.StreamResponse:
        left = int(request.query["left"])
        if left == 0:
            return web.Response(body=BYTES)
        return web.Response(status=302, headers={"Location": f"?left={left - 1}"})

    async with serving(answer) as files:
        async with open_provider(endpoint_of(files.base_url), concurrency=1) as provider:
            image = await provider.fetch(link_to(f"{files.base_url}/a.png?left=3"))
        error = await refused(files.base_url, f"{files.base_url}/a.png?left=4")

    assert BYTES == image.encoded
    assert FailureClass.DOWNLOAD == error.failure.failure_class


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/a.png",
        "https://[::1]/a.png",
        "https://[::ffff:127.0.0.1]/a.png",
        "https://[64:ff9b::7f00:1]/a.png",
        "https://0.0.0.0/a.png",
        "https://2130706433/a.png",
        "https://127.1/a.png",
        "http://img.example.com/a.png",
        "http://169.254.169.254/a.png",
        "https://user:pass@img.example.com/a.png",
        "file:///etc/passwd",
        "ftp://img.example.com/a.png",
        "//img.example.com/a.png",
        "https://",
        "nonsense",
    ],
)
async def test_a_link_that_may_not_be_followed_is_refused(url: str) -> None:
    """Links into private networks, in the clear, or in other schemes are `download` at the first try."""
    error = await refused(ELSEWHERE, url)

    assert FailureClass.DOWNLOAD == error.failure.failure_class


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "0x7f.1", "0x7f000001", "017700000001", "0177.0.0.1", "127.0.0.1.", "0.0.0.0", "0",
     "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "LOCALHOST"],
)  # fmt: skip
async def test_a_public_provider_cannot_lead_us_to_ourselves(host: str) -> None:
    """The connected address decides: a name that resolves to this machine is refused like its address."""
    async with raw_serving(b"", greets=True) as trap:
        error = await refused(ELSEWHERE, f"https://{host}:{trap.port}/a.png")

    assert (FailureClass.DOWNLOAD, 0) == (error.failure.failure_class, trap.connections)


async def test_a_redirect_is_checked_like_the_first_link() -> None:
    """The provider's own host cannot send a download elsewhere in the clear or into the private network."""
    async with raw_serving(b"", greets=True) as trap:
        for target in (f"http://127.0.0.1:{trap.port}/x", "https://10.0.0.1/x", "file:///etc/passwd"):
            async with serving(answering(b"", status=302, headers={"Location": target})) as files:
                error = await refused(files.base_url, f"{files.base_url}/a.png")
            assert FailureClass.DOWNLOAD == error.failure.failure_class

    assert 0 == trap.connections


async def test_a_local_provider_may_link_to_itself_by_another_name() -> None:
    """A server on this machine often calls itself `localhost` in its links."""
    async with serving(answering(BYTES)) as files:
        url = files.base_url.replace("127.0.0.1", "localhost") + "/a.png"
        async with open_provider(endpoint_of(files.base_url), concurrency=1) as provider:
            image = await provider.fetch(link_to(url))

    assert BYTES == image.encoded


def resolving(*answers: list[str]) -> Callable[..., list[Any]]:
    """A resolver that gives these addresses, first call first, and the last ones ever after."""
    left = list(answers)

    def getaddrinfo(_host: object, port: int, *_args: object, **_named: object) -> list[Any]:
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (one, port, 0, 0))
            if ":" in one
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses
        ]

    return getaddrinfo


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "169.254.169.254", "10.0.0.1", "100.64.0.1", "0.0.0.0", "::1", "fe80::1", "fd00:ec2::254",
     "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::"],
)  # fmt: skip
async def test_a_name_that_leads_inside_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a name resolves to is checked where the connection is made."""
    monkeypatch.setattr(socket, "getaddrinfo", resolving([address]))
    error = await refused(ELSEWHERE, "https://img.example.net/a.png")

    assert (FailureClass.DOWNLOAD, True) == (
        error.failure.failure_class,
        "private network" in error.failure.reason,
    )


async def test_a_name_that_changes_its_mind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: the first hop looks public and fails, a later look leads to this machine and is not followed."""
    async with raw_serving(b"", greets=True) as trap:
        monkeypatch.setattr(socket, "getaddrinfo", resolving(["127.0.0.1", "::1"]))
        for _ in range(2):
            error = await refused(ELSEWHERE, f"https://img.example.net:{trap.port}/a.png")

    assert (FailureClass.DOWNLOAD, 0) == (error.failure.failure_class, trap.connections)


async def test_broken_ipv6_does_not_hold_a_download_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Happy eyeballs: where one family does not connect, the other is tried."""
    async with serving(answering(BYTES)) as files:
        monkeypatch.setattr(socket, "getaddrinfo", resolving(["::1", "127.0.0.1"]))
        url = files.base_url.replace("127.0.0.1", "localhost")
        async with open_provider(endpoint_of(url), concurrency=1) as provider:
            image = await provider.fetch(link_to(f"{url}/a.png"))

    assert BYTES == image.encoded


async def test_no_proxy_sees_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the provider's own requests may use one."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with raw_serving(b"", greets=True) as proxy, serving(answering(BYTES)) as files:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        endpoint = replace(endpoint_of(files.base_url), trust_env=True)
        async with open_provider(endpoint, concurrency=1) as provider:
            image = await provider.fetch(link_to(f"{files.base_url}/a.png"))

    assert (BYTES, 0) == (image.encoded, proxy.connections)


@pytest.mark.parametrize(
    ("link", "base_url", "wanted"),
    [
        ("https://img.example.com/a", "https://api.example.com/v1", True),
        ("http://img.example.com/a", "https://api.example.com/v1", False),
        ("http://api.example.com:443/a", "https://api.example.com/v1", False),
        ("http://api.example.com/a", "http://api.example.com/v1", True),
        ("http://api.example.com:8080/a", "http://api.example.com/v1", False),
        ("http://localhost:9/a", "http://127.0.0.1:9/v1", True),
        ("http://localhost:8/a", "http://127.0.0.1:9/v1", False),
    ],
)
def test_http_is_for_a_host_that_was_configured_with_it(link: str, base_url: str, wanted: bool) -> None:
    """No link and no redirect goes down from https, not even on the provider's own host."""
    assert wanted == (refusal(parse_link(link), URL(base_url)) is None)
