"""Shared by tests and by hand: an OpenAI-compatible server on the loopback that answers from the prompt alone.

python echo_server.py PORT      prints the port and serves until it is killed
"""

import hashlib
import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def echo(content: str) -> str:
    """A sound sentence that differs from prompt to prompt."""
    lead = content.rsplit("Begin your answer with: ", 1)[-1]
    number = int(hashlib.sha256(content.encode()).hexdigest()[:8], 16)
    return f"{lead} quiet trains, {number} bridges and the {number % 97} people who wait for the last one."


class Echo(BaseHTTPRequestHandler):
    """Counts what it is asked; `server.refuse` names words whose prompts get a 400."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = body["messages"][-1]["content"]
        with self.server.lock:
            self.server.asked[content] += 1
            self.server.busy += 1
            self.server.most = max(self.server.most, self.server.busy)
        time.sleep(self.server.seconds)
        code, answer = (
            200,
            {
                "choices": [{"message": {"content": echo(content)}, "finish_reason": "stop"}],
                "usage": {"completion_tokens": 9, "prompt_tokens": len(content) // 4},
            },
        )
        if self.server.refuse and self.server.refuse in content:
            code, answer = 400, {"error": {"message": "this prompt is too odd"}}
        data = json.dumps(answer).encode()
        with self.server.lock:
            self.server.busy -= 1
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def start(port: int = 0, seconds: float = 0.0, refuse: str = "") -> ThreadingHTTPServer:
    """A running server; `server_port`, `asked` (times by prompt), `most` (requests at a time)."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Echo)
    server.lock, server.asked, server.busy, server.most = threading.Lock(), Counter(), 0, 0
    server.seconds, server.refuse = seconds, refuse
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    print(start(int(sys.argv[1]) if len(sys.argv) > 1 else 0).server_port, flush=True)
    threading.Event().wait()
