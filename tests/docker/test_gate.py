"""docker/gate.py: what a client and a server say to each other through it."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import free_socket

GATE = Path(__file__).parents[2] / "docker/gate.py"
LARGE = bytes(range(256)) * 8192


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server that sends back all that it gets once the client has said its last, and then ends."""

    def answer() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.sendall(received(connection))

    with free_socket() as listening:
        threading.Thread(target=answer, daemon=True).start()
        yield listening
        with suppress(OSError):  # closed by the test
            listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gate(server: socket.socket) -> Iterator[int]:
    """The gate's port."""
    with free_socket() as free:
        port: int = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(GATE), str(port), "127.0.0.1", str(server.getsockname()[1])])
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def received(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_everything_comes_through_in_both_directions(gate: int) -> None:
    for data in (b"", b"x", LARGE):
        with socket.create_connection(("127.0.0.1", gate), 60) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            assert received(client) == data


def test_without_the_server_the_connection_ends(gate: int, server: socket.socket) -> None:
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    with socket.create_connection(("127.0.0.1", gate), 60) as client:
        client.settimeout(60)
        assert client.recv(1) == b""
