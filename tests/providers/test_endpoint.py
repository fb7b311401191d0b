"""Where requests go and with which key, and what is said when that is not clear."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from batchgen.core.errors import UsageError
from batchgen.providers.endpoint import Secret, host_of, resolve
from batchgen.providers.settings import BUILT_IN, ProviderSettings

COMET, SANDBOX = BUILT_IN["cometapi"], BUILT_IN["sandbox"]
KEYS = {"COMETAPI_KEY": "sk-comet-1234567890"}
GATEWAY = ProviderSettings("gateway", "http://gw.internal:4000/images/api/", ("GATEWAY_KEY",))


def test_the_default_provider_needs_only_its_key() -> None:
    """CometAPI's address is built in; the first key variable that is set wins."""
    endpoint = resolve(COMET, {"COMETAPI_API_KEY": "second-key", "COMETAPI_KEY": "first-key"})

    assert ("https://api.cometapi.com/v1", "first-key") == (endpoint.base_url, endpoint.key.reveal())


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("https://api.cometapi.com", "https://api.cometapi.com/v1"),
        ("https://api.cometapi.com/", "https://api.cometapi.com/v1"),
        ("https://api.cometapi.com/v1/", "https://api.cometapi.com/v1"),
        ("\ufeff https://API.CometAPI.com:443/v1 \n", "https://api.cometapi.com:443/v1"),
        ("https://ark.example.com/api/v3", "https://ark.example.com/api/v3"),
        ("http://localhost:8080", "http://localhost:8080/v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
    ],
)
def test_an_address_is_taken_with_or_without_v1(given: str, wanted: str) -> None:
    """Both habits of writing a base URL work, by flag and by variable; other paths stay."""
    assert wanted == resolve(COMET, KEYS, base_url=given).base_url
    assert wanted == resolve(COMET, {**KEYS, "COMETAPI_BASE_URL": given}).base_url


def test_a_flag_is_above_the_environment_and_that_above_the_settings() -> None:
    """The nearest word counts; a blank variable says nothing."""
    environ = {**KEYS, "COMETAPI_BASE_URL": "https://b.example.com"}

    assert "a.example.com" == host_of(COMET, environ, base_url="https://a.example.com")
    assert "b.example.com" == host_of(COMET, environ)
    assert "api.cometapi.com" == host_of(COMET, {**KEYS, "COMETAPI_BASE_URL": " "})


def test_a_configured_address_stays_as_it_is() -> None:
    """An operator's base URL keeps its path, and may be http when that is what is written."""
    endpoint = resolve(GATEWAY, {"GATEWAY_KEY": " key-of-gateway\n"})

    assert ("http://gw.internal:4000/images/api", "key-of-gateway") == (
        endpoint.base_url,
        endpoint.key.reveal(),
    )


def test_the_sandbox_needs_an_address_and_no_key() -> None:
    """Its address is known once it is served; its key is none."""
    assert "sandbox" == resolve(SANDBOX, {}, base_url="http://127.0.0.1:9").key.reveal()
    with pytest.raises(UsageError, match="--base-url"):
        resolve(SANDBOX, {})


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "COMETAPI_KEY or COMETAPI_API_KEY"),
        ({"COMETAPI_KEY": " \ufeff"}, "COMETAPI_KEY is blank"),
        ({"COMETAPI_KEY": "sk-two\nlines-here"}, "COMETAPI_KEY holds characters"),
        ({"COMETAPI_KEY": "sk-schlüssel"}, "COMETAPI_KEY holds characters"),
    ],
)
def test_a_missing_or_broken_key_is_told_by_its_variable(environ: dict[str, str], words: str) -> None:
    """The message names the variable and never the value."""
    with pytest.raises(UsageError, match=words) as caught:
        resolve(COMET, environ)

    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.cometapi.com",
        "ftp://api.cometapi.com/v1",
        "https://",
        "https://hidden:hidden@api.cometapi.com/v1",
        "https://api.cometapi.com/v1?key=hidden",
        "https://api.cometapi.com/v1#hidden",
        "https://api.cometapi.com:99999/v1",
        "https://api.comet api.com/v1",
        "https://api.cometapi.com/v1\u202ehidden",
        "http://api.cometapi.com/v1",
        "https://[hidden/v1",
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(url: str) -> None:
    """Bad addresses, secrets inside them and http by mistake are one plain line that repeats no secret."""
    with pytest.raises(UsageError, match="--base-url") as caught:
        resolve(COMET, KEYS, base_url=url)

    assert "hidden" not in str(caught.value)


def test_a_secret_does_not_show_itself() -> None:
    """A key in a log line is three stars, and still a key after a trip to a worker."""
    secret = Secret("sk-1234567890")

    assert ("***", "***", "Wrap(***)") == (str(secret), repr(secret), f"Wrap({secret})")
    assert "sk-1234567890" == pickle.loads(pickle.dumps(secret)).reveal()


def test_settling_an_endpoint_does_not_load_the_http_client() -> None:
    """`batchgen --help` stays quick: settings and endpoints come without aiohttp."""
    code = (
        "import sys, batchgen.providers.endpoint, batchgen.providers.settings; print('aiohttp' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "False" == shown.stdout.strip()
