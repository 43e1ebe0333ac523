"""A source of releases over HTTP that may misbehave; in threads, on loopback.

with EvilSource(folder) as source:
    source.mode = "slow"    # good, endless, slow, short, liar, whole, chunked, silent, garbage, redirect, other
"""

import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

DRIP_S = 0.2


class EvilSource:
    """`folders`: whose files `mode` is for. `sent`: bytes of packs that went out. `sizes`: of each range that was asked
    for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mode, self.sent, self.other = folder, "good", 0, ""
        self.sizes: list[int] = []
        self.folders = ["packs"]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                try:
                    outer.answer(self)
                except OSError:  # whom we misuse hangs up
                    pass
                self.close_connection = True

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.place = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "EvilSource":
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = self.folder / handler.path.lstrip("/")
        is_pack = handler.path.startswith("/packs/")
        mode = self.mode if handler.path.split("/")[1] in self.folders else "good"
        if mode == "other":
            path = self.folder / "packs" / self.other
        if not path.is_file():
            handler.send_response(404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        data, start, end = path.read_bytes(), 0, path.stat().st_size - 1
        span = handler.headers.get("Range", "")
        if span:
            start, end = (int(number) for number in span[6:].split("-"))
        body = data[start : end + 1]
        if is_pack:
            self.sizes.append(end + 1 - start)
            self.sent += len(body)
        self._send(handler, mode, body, bool(span), f"bytes {start}-{end}/{len(data)}")

    def _send(self, handler: BaseHTTPRequestHandler, mode: str, body: bytes, is_range: bool, span: str) -> None:
        write: Callable[[bytes], object] = handler.wfile.write
        if mode == "silent":
            time.sleep(30)
        if mode == "garbage":
            write(b"\xff" * 10000)
            return
        if mode == "redirect":
            handler.send_response(302)
            handler.send_header("Location", "http://127.0.0.1:1/")
            handler.end_headers()
            return
        handler.send_response(206 if is_range and mode != "whole" else 200)
        if is_range:
            handler.send_header("Content-Range", span)
        if mode == "chunked":
            handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Content-Length", str(1 << 40 if mode == "endless" else len(body)))
        handler.end_headers()
        if mode == "slow":
            for index in range(len(body)):
                write(body[index : index + 1])
                time.sleep(DRIP_S)
        elif mode == "short":
            write(body[:-1])
        elif mode == "liar":
            write(body[:-1] + bytes([body[-1] ^ 1]))
        else:
            write(body)
        while mode == "endless":
            write(b"endless" * 1000)
