"""An origin for load: answers every GET with "quick\\n" and keeps the connection.

    /drip/N   N pieces of 1 KiB, one every 10 ms: a download that is under way for a while

It prints its port and ends with its stdin. As a program of its own it leaves the test's process alone, and it is
several times quicker than http.server.
"""

import asyncio
import subprocess
import sys

BODY = b"quick\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class QuickOrigin:
    """`with QuickOrigin() as origin:` the program in the background."""

    BODY = BODY.decode()

    def __enter__(self):
        self._process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *exc):
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.input = b""

    def data_received(self, data):
        self.input += data
        *heads, self.input = self.input.split(b"\r\n\r\n")
        for head in heads:
            path = head.split(b" ", 2)[1]
            if path.startswith(b"/drip/"):
                asyncio.ensure_future(self.drip(int(path[6:])))
            else:
                self.transport.write(ANSWER)

    async def drip(self, pieces):
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (pieces * 1024))
        for _ in range(pieces):
            self.transport.write(b"d" * 1024)
            await asyncio.sleep(0.01)


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = loop.create_future()
    loop.add_reader(sys.stdin, lambda: sys.stdin.buffer.read1(1) or ended.done() or ended.set_result(None))
    await ended


if __name__ == "__main__":
    asyncio.run(serve())
