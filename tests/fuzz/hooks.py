"""What the fuzzer cannot guess: the credentials each operation wants, ids of calls and sessions that exist, an offer.

They come in the environment; which request gets them depends on nothing but the request, so that a run repeats itself.
"""

import json
import os

import schemathesis

KNOWN = json.loads(os.environ["TRUNKLINE_KNOWN"])


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def sdp(context, value):
    """Text as it is; of three offers one is good."""
    made_up = value if isinstance(value, bytes) else str(value).encode("utf-8", "ignore")
    if context.case.media_type == "application/sdp" and sum(made_up) % 3 == 0:
        return KNOWN["offer"].encode()
    return made_up


def wanted_key(case):
    """The bearer token for the first security scheme of the operation."""
    for alternative in case.operation.definition.raw.get("security", []):
        for scheme, scopes in alternative.items():
            return KNOWN["token"] if scheme == "session_token" else KNOWN["keys"][scopes[0]]
    return None


@schemathesis.hook
def before_call(context, case, kwargs):
    parameters = case.path_parameters or {}
    dice = sum(map(ord, json.dumps([parameters, case.query, str(case.body)], default=str)))
    key = wanted_key(case)
    # One in eight requests stays without.
    if key and dice % 8:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {key}"}
    may_end = case.operation.label in KNOWN["only_ended"]
    for name in parameters:
        candidates = (KNOWN["ending"] if may_end else KNOWN).get(name, [])
        # One id in so many is as the fuzzer made it up; but it learns from answers, and what ends calls shall end none.
        pick = dice % (len(candidates) + (0 if may_end and candidates else 1))
        if pick < len(candidates):
            parameters[name] = candidates[pick]
