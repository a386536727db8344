"""Greets over HTTP with nothing but the standard library and one wheel of its own."""

import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from greeting import greet


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path != "/":
            self.answer(404, "not here\n")
            return
        who = " ".join(filter(None, [os.environ.get("PAAS_RELEASE"), os.environ.get("DYNO")]))
        self.answer(200, f"{greet('Python ' + sys.version.split()[0])} {who}\n")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    # Threads are waited for when the server closes, so that requests in flight are answered.
    daemon_threads = False


def main():
    port = int(os.environ.get("PORT", "5000"))
    with Server(("", port), Handler) as server:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"listening on {port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
