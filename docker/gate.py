"""Passes TCP connections on to one port of another container: `python gate.py LISTEN HOST PORT`.

Compose separates networks, not ports. The S3 server's other ports, which ask for no login, are on a network that only it and this
container join; everybody else reaches this container, and so the S3 port alone.
"""

import asyncio
import sys
from functools import partial

BLOCK = 1 << 18
"""Bytes read at a time."""


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies one direction of a connection until its end."""
    try:
        while data := await reader.read(BLOCK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()  # ends the other direction as well


async def pass_on(host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Connects a client with the server; closes the client's connection where the server cannot be reached."""
    try:
        from_server, to_server = await asyncio.open_connection(host, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(copy(reader, to_server), copy(from_server, writer))
    for each in (to_server, writer):
        each.close()


async def main(listen: int, host: str, port: int) -> None:
    """Serves until it is stopped."""
    server = await asyncio.start_server(partial(pass_on, host, port), port=listen)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
