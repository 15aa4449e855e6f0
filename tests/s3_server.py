"""An S3 server of its own process, on loopback, for tests that use real boto3 and Delta."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import boto3

KEY = "testing"
REGION = "us-east-1"


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The address of a server that answers, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def s3_client(endpoint: str):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=KEY,
        region_name=REGION,
    )


def s3_environment(endpoint: str) -> dict[str, str]:
    """What an installation needs to find the server."""
    return {
        "EVERGREEN_S3_ENDPOINT_URL": endpoint,
        "EVERGREEN_S3_ACCESS_KEY": KEY,
        "EVERGREEN_S3_SECRET_KEY": KEY,
        "EVERGREEN_S3_REGION": REGION,
    }
