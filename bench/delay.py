"""A network of some milliseconds, for a server on loopback: what is sent in either
direction arrives later. ``python -m bench.delay PORT MILLISECONDS`` prints the port
that it listens on. A process of its own, so that its work is nobody's."""

import asyncio
import contextlib
import sys

HOST = "127.0.0.1"
PIECE = 256 << 10  # bytes
UNDER_WAY = 64  # pieces in each direction: a window that does not narrow 1 Gbit/s


async def _pass_on(reader, writer, delay):
    """Let each piece arrive so many seconds after it was sent."""
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue(UNDER_WAY)

    async def deliver():
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(max(0, due - loop.time()))
            if not data:
                break
            writer.write(data)
            await writer.drain()

    delivering = asyncio.create_task(deliver())
    try:
        data = b"-"
        while data and not delivering.done():
            data = await reader.read(PIECE)
            await pieces.put((loop.time() + delay, data))
        await delivering
    except (OSError, asyncio.CancelledError):
        delivering.cancel()
    finally:
        with contextlib.suppress(OSError):
            writer.close()


async def _serve(port, delay):
    async def connected(reader, writer):
        await asyncio.sleep(2 * delay)  # the handshake of TCP
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(HOST, port)
            await asyncio.gather(
                _pass_on(reader, back, delay), _pass_on(there, writer, delay)
            )

    server = await asyncio.start_server(connected, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    port, milliseconds = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(port), float(milliseconds) / 2000))
