"""The guard's table of addresses."""

from __future__ import annotations

import pytest

from batchgen.providers.addresses import address_allowed

PUBLIC = ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"]
LOOPBACK = ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1%lo"]
REFUSED = [
    "0.0.0.0",
    "::",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "::127.0.0.1",
    "::ffff:0.0.0.0",
    "::ffff:100.64.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1:ffff::a00:1",
    "2002:a9fe:a9fe::1",
    "2002:c0a8:101::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fe80::5efe:7f00:1",
    "100::1",
    "172.31.255.255",
    "100.127.255.255",
    "0.1.2.3",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "localhost",
    "",
]


@pytest.mark.parametrize("ip", PUBLIC)
def test_the_public_internet_is_allowed(ip: str) -> None:
    """Public addresses of both families are what downloads are for."""
    assert address_allowed(ip, loopback_ok=False)


@pytest.mark.parametrize("ip", REFUSED)
@pytest.mark.parametrize("loopback_ok", [True, False])
def test_what_lies_behind_it_is_not(ip: str, loopback_ok: bool) -> None:
    """Private, special and disguised addresses are refused, whatever is said of loopback."""
    assert not address_allowed(ip, loopback_ok)


@pytest.mark.parametrize("ip", LOOPBACK)
def test_this_machine_is_allowed_only_when_the_provider_is_on_it(ip: str) -> None:
    """Loopback follows the flag in every form."""
    assert address_allowed(ip, loopback_ok=True)
    assert not address_allowed(ip, loopback_ok=False)
