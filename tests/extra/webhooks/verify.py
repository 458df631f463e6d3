"""Verifies with PyPI's standardwebhooks what receiver.mjs has taken: by the secrets that signed it, and no others.

verify.py SECRETS_FILE TAKEN_FILE: the three secrets that the webhook had, and each delivery that was taken, one a line. The
first was still valid when the second was made, and neither when the third was.
"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

with open(sys.argv[1], encoding="utf-8") as file:
    secrets = [line.strip() for line in file]
with open(sys.argv[2], encoding="utf-8") as file:
    taken = [json.loads(line) for line in file]


def is_signed(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


types = []
signers = []
for delivery in taken:
    body, headers = delivery["body"], delivery["headers"]
    signers.append([is_signed(secret, body, headers) for secret in secrets])
    types.append(json.loads(body)["type"])
    for name in ("webhook-id", "webhook-timestamp"):
        other = {**headers, name: headers[name][:-1] + ("1" if headers[name][-1] != "1" else "2")}
        assert not any(is_signed(secret, body, other) for secret in secrets), name
    assert not any(is_signed(secret, body + " ", headers) for secret in secrets), "body"

assert types == ["webhook.test", "connection.failed", "connection.failed", "webhook.test"], types
first, both, third = [True, False, False], [True, True, False], [False, False, True]
assert signers == [first, first, both, third], signers
print(f"{len(taken)} deliveries verified")
