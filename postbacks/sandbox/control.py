"""The endpoints under `/sandbox/`: received requests, faults, latency and revoked tokens."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from postbacks.networks.interface.imitation import FAULTS as NETWORK_FAULTS
from postbacks.networks.interface.imitation import Imitation, ImitationResponse
from postbacks.sandbox.state import SandboxState

BAD_GATEWAY = ImitationResponse(
    502,
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
)
UNANSWERED_FAULTS = ("timeout", "reset")  # the connection is held open, or reset
FAULTS = (*NETWORK_FAULTS, "html_502", *UNANSWERED_FAULTS)
MAX_FAULT_TIMES = 100_000
MAX_DELAY_MS = 60_000


class InvalidRequest(ValueError):
    """A request to a sandbox endpoint with an invalid value; the text is the answer."""


def respond(state: SandboxState, method: str, target: str, body: bytes) -> ImitationResponse:
    """Return the answer to a request that is not for a network."""
    path, _, query = target.partition("?")
    if path in ("", "/"):
        return ImitationResponse(200, help_page(state.imitations))
    endpoint = ENDPOINTS.get((method, path))
    if endpoint is None:
        exists = any(path == other for _, other in ENDPOINTS)
        return ImitationResponse(405 if exists else 404, {"error": f"{method} {path} is not an endpoint; see GET /"})
    try:
        return endpoint(state, {name: values[-1] for name, values in parse_qs(query).items()}, body)
    except InvalidRequest as error:
        return ImitationResponse(400, {"error": str(error)})


def list_requests(state: SandboxState, query: dict[str, str], body: bytes) -> ImitationResponse:
    is_test = query.get("test", "") not in ("", "0", "false")
    entries = [entry for entry in state.requests(_optional_network(state, query)) if entry.test is is_test]
    return ImitationResponse(
        200, json.dumps([entry.as_json(decoded_body) for entry in entries]), {"Content-Type": "application/json"}
    )


def delete_requests(state: SandboxState, query: dict[str, str], body: bytes) -> ImitationResponse:
    state.delete_requests(_optional_network(state, query))
    return ImitationResponse(204, "")


def add_fault(state: SandboxState, query: dict[str, str], body: bytes) -> ImitationResponse:
    fields = _fields(body)
    network, fault = _network(state, fields), fields.get("fault")
    accepted = (*FAULTS, *further_faults(state.imitations[network]))
    if fault not in accepted:
        raise InvalidRequest(f"fault must be one of {', '.join(accepted)}, not {fault!r}.")
    times = _integer(fields, "times", 1, MAX_FAULT_TIMES, default=1)
    state.add_fault(network, fault, times)
    return ImitationResponse(200, {"network": network, "fault": fault, "times": times})


def further_faults(imitation: Imitation) -> list[str]:
    """Return the faults that only this network has."""
    return [fault for fault in imitation.faults if fault not in FAULTS]


def clear_faults(state: SandboxState, query: dict[str, str], body: bytes) -> ImitationResponse:
    state.clear_faults()
    return ImitationResponse(204, "")


def set_latency(state: SandboxState, query: dict[str, str], body: bytes) -> ImitationResponse:
    fields = _fields(body)
    network, delay = _network(state, fields), _integer(fields, "ms", 0, MAX_DELAY_MS)
    state.set_delay(network, delay / 1000)
    return ImitationResponse(200, {"network": network, "ms": delay})


def set_revoked(state: SandboxState, query: dict[str, str], body: bytes, *, revoked: bool) -> ImitationResponse:
    fields = _fields(body)
    network, credential = _network(state, fields), fields.get("credential")
    if not isinstance(credential, str) or credential not in state.imitations[network].accounts.by_credential():
        raise InvalidRequest(f"credential must be one of the tokens of {network}; see GET /.")
    state.revoke(network, credential, revoked=revoked)
    return ImitationResponse(200, {"network": network, "revoked": revoked})


ENDPOINTS: dict[tuple[str, str], Callable[[SandboxState, dict[str, str], bytes], ImitationResponse]] = {
    ("GET", "/sandbox/requests"): list_requests,
    ("DELETE", "/sandbox/requests"): delete_requests,
    ("GET", "/sandbox/summary"): lambda state, query, body: ImitationResponse(200, state.summary()),
    ("GET", "/sandbox/faults"): lambda state, query, body: ImitationResponse(200, state.faults()),
    ("POST", "/sandbox/faults"): add_fault,
    ("DELETE", "/sandbox/faults"): clear_faults,
    ("POST", "/sandbox/latency"): set_latency,
    ("POST", "/sandbox/tokens/revoke"): partial(set_revoked, revoked=True),
    ("POST", "/sandbox/tokens/restore"): partial(set_revoked, revoked=False),
    ("GET", "/sandbox/health"): lambda state, query, body: ImitationResponse(200, {"status": "ok"}),
}


def decoded_body(body: bytes) -> Any:
    """Return the body parsed as JSON if it is JSON, else as text."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _fields(body: bytes) -> dict[str, Any]:
    fields = decoded_body(body)
    if not isinstance(fields, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return fields


def _network(state: SandboxState, fields: dict[str, Any]) -> str:
    network = fields.get("network")
    if not isinstance(network, str) or network not in state.imitations:
        raise InvalidRequest(f"network must be one of {', '.join(state.imitations)}, not {network!r}.")
    return network


def _optional_network(state: SandboxState, query: dict[str, str]) -> str | None:
    return _network(state, dict(query)) if "network" in query else None


def _integer(fields: dict[str, Any], name: str, minimum: int, maximum: int, *, default: int | None = None) -> int:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        raise InvalidRequest(f"{name} must be a whole number from {minimum} to {maximum}, not {value!r}.")
    return value


def help_page(imitations: Mapping[str, Imitation]) -> str:
    """Return plain text with the endpoints, the faults and every accepted credential."""
    lines = [f"Afterclick sandbox: imitations of {', '.join(imitations)}. Nothing leaves this machine.", ""]
    lines += ["Networks", *(f"  {line}" for imitation in imitations.values() for line in imitation.endpoints), ""]
    lines += ["Sign-in with Steam", "  GET /openid/login", "  POST /openid/login (check_authentication)", ""]
    lines += ["Controls", *(f"  {method} {path}" for method, path in ENDPOINTS), ""]
    lines += [
        f"GET /sandbox/requests takes ?network={'|'.join(imitations)} and &test=1 (test events are listed separately).",
        "GET /sandbox/summary counts per network: answers, events accepted as new, duplicates, the busiest second.",
    ]
    lines += ['POST /sandbox/faults takes {"network", "fault", "times"}; faults: ' + ", ".join(FAULTS) + ".", ""]
    for network, imitation in imitations.items():
        if further := further_faults(imitation):
            lines += [f"{network} has the further faults {', '.join(further)}."]
        lines += [f"{network} accepts"]
        accepted = imitation.accounts.by_credential().items()
        lines += [f"  {' and '.join(sorted(pixels))} with\n    {token}" for token, pixels in accepted]
        lines += [""]
    return "\n".join(lines)
