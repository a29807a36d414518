"""A whole call by a back end that knows nothing but the published API: it opens a session, answers the gateway's question
where the call shall go, follows the events, hangs up when somebody has answered, and believes only signed webhooks.

Environment: CONTROL (base URL), KEY_CONTROL, KEY_READ, SECRET (whsec_…, of hook and webhooks), PORT, DESTINATION.
"""

import http.server
import json
import os
import queue
import threading
import urllib.request
from standardwebhooks.webhooks import Webhook

ENV, SIGNED = os.environ, Webhook(os.environ["SECRET"])
ASKED, TOLD = queue.Queue(), queue.Queue()


class Hooks(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        message = SIGNED.verify(body, dict(self.headers.items()))  # Raises for what is not the gateway's.
        if self.path == "/answer":
            ASKED.put(message)
            actions = [{"action": "connect", "destinations": [ENV["DESTINATION"]], "ring_timeout_seconds": 30}]
            return self.reply({"actions": actions})
        TOLD.put(message)
        self.reply({})

    def reply(self, value):
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())


def api(method, path, key, body=None):
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    data = json.dumps(body).encode() if body else None
    return urllib.request.urlopen(urllib.request.Request(ENV["CONTROL"] + path, data, headers, method=method), timeout=60)


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(ENV["PORT"])), Hooks)
threading.Thread(target=server.serve_forever, daemon=True).start()
stream = api("GET", "/v1/events?app=acme", ENV["KEY_READ"])
session = json.load(api("POST", "/v1/sessions", ENV["KEY_CONTROL"], {"app": "acme", "context": {"case": "42"}}))
print(json.dumps(session), flush=True)  # A page would get it from here.

seen = []
for line in stream:
    if not line.startswith(b"data:"):
        continue
    event = json.loads(line[5:])
    seen.append(event["name"])
    if event["name"] == "call_answered":
        api("POST", f"/v1/calls/{event['data']['call']}/hangup", ENV["KEY_CONTROL"], {"reason": "done"})
    if event["name"] in ("call_ended", "call_error"):
        break
told = {"seen": seen, "last": event, "asked": ASKED.get(timeout=60), "webhook": TOLD.get(timeout=60)}
print(json.dumps(told), flush=True)
