#!/usr/bin/env python3
"""Runs weir for the benchmark in `cached` mode with a Redis of its own that answers after a delay.

    with-redis.py PORT DELAY_MS WEIR_BINARY CONFIG

weir listens on PORT. DELAY_MS 0 connects it to Redis directly; otherwise every answer of Redis passes a proxy that holds
it back so long. This process becomes weir, so that the harness measures weir alone: Redis and the proxy belong to a
process of nobody's, which ends them when weir has ended.
"""
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


async def proxy(port, target, delay):
    async def pass_on(reader, writer, hold):
        queue = asyncio.Queue()

        async def send():
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0, due - time.monotonic()))
                writer.write(data)

        task = asyncio.create_task(send())
        while data := await reader.read(65536):
            queue.put_nowait((time.monotonic() + hold, data))
        task.cancel()
        writer.close()

    async def serve(reader, writer):
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pass_on(reader, upstream_writer, 0), pass_on(upstream_reader, writer, delay))

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        await asyncio.Future()


async def beside(weir, redis, redis_port, port, delay, folder):
    options = ["--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
    server = subprocess.Popen([redis, *options], stdout=subprocess.DEVNULL)
    if port != redis_port:
        task = asyncio.create_task(proxy(port, redis_port, delay))
    while os.path.exists(f"/proc/{weir}"):
        await asyncio.sleep(0.5)
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def main():
    listen, delay_ms, weir, config = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    redis = shutil.which("redis-server") or sys.exit("with-redis: install redis-server first (Debian: redis-server)")
    folder = tempfile.mkdtemp(prefix="weir-bench-")
    redis_port = free_port()
    port = free_port() if delay_ms else redis_port
    me = os.getpid()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            # On the other core: what is measured is weir.
            os.sched_setaffinity(0, {0})
            asyncio.run(beside(me, redis, redis_port, port, delay_ms / 1000, folder))
        os._exit(0)
    os.wait()
    for _ in range(100):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    os.environ.update(
        WEIR_BENCH_PORT=listen,
        WEIR_BENCH_MODE="cached",
        WEIR_BENCH_CACHE=f"redis://127.0.0.1:{port}",
        WEIR_BENCH_DATA=folder,
    )
    os.execv(weir, [weir, "serve", "--config", config])


main()
