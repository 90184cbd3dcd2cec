"""Rules for every network: its variables, its vectors and the system check of its parts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from postbacks.networks import NETWORKS, completeness
from postbacks.networks.completeness import check_networks
from postbacks.networks.interface.call import Verdict
from postbacks.networks.interface.credentials import CredentialField
from postbacks.networks.interface.network import Network
from postbacks.networks.interface.ready_goals import OWN_NAME, READY_GOALS
from postbacks.networks.tiktok.network import TikTok
from tests import factories
from tests.postbacks.facts import PURCHASE, answered, answers, launch, mapped, schema, target, vector

ROOT = Path(__file__).resolve().parents[2]
EACH = pytest.mark.parametrize("kind", NETWORKS)


def test_env_example_explains_the_variables_of_all_networks_by_those_of_two() -> None:
    text = (ROOT / ".env.example").read_text()
    assert "<KIND>_API_URL" in text
    assert "<KIND>_RATE" in text
    for network in (NETWORKS["tiktok"], NETWORKS["reddit"]):
        shown = {f"#{network.url_variable}={network.default_url}", f"#{network.rate_variable}={network.default_rate:g}"}
        assert shown <= set(text.splitlines())


@EACH
def test_the_kind_of_a_network_is_its_key_in_the_registry(kind: str) -> None:
    assert NETWORKS[kind].kind == kind


@EACH
@pytest.mark.parametrize("name", ["game_launch", "purchase"])
def test_a_conversion_is_sent_as_the_vector_of_the_network_has_it(kind: str, name: str) -> None:
    facts = mapped(kind, PURCHASE if name == "purchase" else launch(kind))
    body = json.loads(NETWORKS[kind].build(target(factories.PIXELS[kind], kind=kind), facts).body)
    assert body == vector(kind, name)
    jsonschema.validate(body, schema(kind))


@pytest.mark.parametrize(
    ("kind", "answer"),
    [pytest.param(kind, answer, id=f"{kind}-{answer['name']}") for kind in NETWORKS for answer in answers(kind)],
)
def test_a_known_answer_is_read_as_the_vector_of_the_network_has_it(kind: str, answer: dict[str, Any]) -> None:
    outcome = NETWORKS[kind].classify(answered(answer["status"], answer["body"], **answer.get("headers", {})))
    assert (outcome.verdict, outcome.access) == (Verdict[answer["verdict"]], answer.get("access"))
    assert outcome.limited == answer.get("limited", False)


def test_a_credential_of_an_imitation_that_lacks_a_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    field = CredentialField(name="account", label="Customer ID")
    monkeypatch.setattr(TikTok, "credential_fields", (*TikTok.credential_fields, field))
    assert problems() == ["Network tiktok: its imitation's accounts have no credential part account."]


def problems() -> list[str]:
    return [error.msg for error in check_networks()]


def test_the_networks_of_the_registry_are_complete() -> None:
    assert problems() == []


def test_a_network_that_lacks_parts_is_refused_with_a_sentence_each(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = type("Bare", (Network,), {**dict.fromkeys(Network.__abstractmethods__), "__module__": __name__})
    monkeypatch.setitem(NETWORKS, "bare", bare())
    assert {
        "Network bare: label is not set.",
        "Network bare: click_params is not set; an empty value declares that there is none.",
        "Network bare: the file static/logo.svg is missing in its folder.",
        "Network bare: the file vectors/purchase.json is missing in its folder.",
        "Network bare: its imitation.py cannot be loaded (No module named 'tests.postbacks.imitation').",
    } <= set(problems())


class LikeTikTok(TikTok):
    __module__ = TikTok.__module__  # its folder is TikTok's
    kind = "custom"


def test_a_network_may_declare_that_it_has_no_click_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completeness, "NETWORKS", {"custom": LikeTikTok()})
    for part in ("click_params", "utm_sources", "cookies"):
        monkeypatch.setattr(LikeTikTok, part, ())
    assert problems() == []
    monkeypatch.setattr(LikeTikTok, "label", "")
    assert problems() == ["Network custom: label is empty."]


def test_two_imitations_with_one_path_and_a_kind_unlike_its_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "twin", LikeTikTok())
    assert problems() == [
        "Network twin: kind is 'custom', and the registry has it as 'twin'.",
        "Networks tiktok and twin: their imitations share the path prefix /open_api/.",
        "Networks twin and tiktok: their imitations share the path prefix /open_api/.",
    ]


@pytest.mark.parametrize("kind", ["google-ads", "Google", "9gag", "a_kind_of_17_chars"])
def test_a_kind_that_is_no_valid_name_of_a_variable_or_is_too_long_is_refused(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(LikeTikTok, "kind", kind)
    monkeypatch.setattr(completeness, "NETWORKS", {kind: LikeTikTok()})
    assert problems() == [f"Network {kind}: its kind must be at most 16 lowercase letters and underscores."]


@EACH
def test_every_ready_made_goal_is_sent_under_a_name_that_the_network_takes(kind: str) -> None:
    network = NETWORKS[kind]
    assert network.ready_goals.keys() == READY_GOALS.keys()
    for key, sent_as in network.ready_goals.items():
        for event in READY_GOALS[key].events if sent_as is not None else ():
            facts = mapped(kind, replace(launch(kind), trigger=event.name, sent_as=sent_as or None))
            facts = replace(facts, object_id=mapped(kind, launch(kind)).object_id)
            body = NETWORKS[kind].build(target(factories.PIXELS[kind], kind=kind), facts).body.decode()
            assert kind in ("google", "x") or (sent_as or event.name) in body


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"sign_up": "SignUp"}, "ready_goals: sign_up is sent as SignUp, which is none of its standard events."),
        ({"refund": None}, "ready_goals has refund, which is no ready-made goal."),
    ],
)
def test_a_ready_made_goal_that_the_network_cannot_send_is_named(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], problem: str
) -> None:
    monkeypatch.setattr(TikTok, "ready_goals", {**TikTok.ready_goals, **changes})
    assert problems() == [f"Network tiktok: {problem}"]


def test_a_ready_made_goal_that_a_network_does_not_decide_on_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    rest = {key: name for key, name in TikTok.ready_goals.items() if key != "level"}
    monkeypatch.setattr(TikTok, "ready_goals", rest)
    sentence = "ready_goals has no entry for level; None declares that the network has no such event."
    assert problems() == [f"Network tiktok: {sentence}"]


def test_a_network_without_custom_names_cannot_send_a_ready_made_goal_under_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snapchat = NETWORKS["snapchat"]
    monkeypatch.setattr(type(snapchat), "ready_goals", {**snapchat.ready_goals, "email_acquired": OWN_NAME})
    sentence = "ready_goals: email_acquired cannot be sent under its own name email_acquired."
    assert problems() == [f"Network snapchat: {sentence}"]
