"""Verifies what a receiver got with the published library: JSON lines of secret, headers and body on standard input."""

import json
import sys

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

verified = 0
for line in sys.stdin:
    got = json.loads(line)
    hook, body, headers = Webhook(got["secret"]), got["body"], got["headers"]
    assert hook.verify(body, headers) == json.loads(body)
    forged = [(body.replace("call_", "cal1_"), headers), (body, headers | {"webhook-id": "evt_other"})]
    for text, fields in forged:
        try:
            hook.verify(text, fields)
        except WebhookVerificationError:
            continue
        sys.exit("a forged webhook was taken")
    verified += 1
print(verified)
