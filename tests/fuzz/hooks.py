"""What the fuzzer cannot guess: the credentials each operation wants, and ids of calls and sessions that exist.

The run is deterministic but for the ids; they come in the environment.
"""

import json
import os

import schemathesis

KNOWN = json.loads(os.environ["TRUNKLINE_KNOWN"])


def wanted_key(case):
    """The bearer token for the first security scheme of the operation."""
    for alternative in case.operation.definition.raw.get("security", []):
        for scheme, scopes in alternative.items():
            return KNOWN["token"] if scheme == "session_token" else KNOWN["keys"][scopes[0]]
    return None


@schemathesis.hook
def before_call(context, case, kwargs):
    key = wanted_key(case)
    # Some requests stay without, as they were made up.
    if key and sum(map(ord, case.path)) % 8:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {key}"}
    known = KNOWN["ending"] if case.operation.label in KNOWN["only_ended"] else KNOWN
    parameters = case.path_parameters or {}
    for name, value in parameters.items():
        candidates = known.get(name, [])
        # One in four ids is as the fuzzer made it up.
        pick = sum(map(ord, str(value))) % (len(candidates) + 1) if candidates else None
        if candidates and pick < len(candidates):
            parameters[name] = candidates[pick]
