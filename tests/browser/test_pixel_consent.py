"""Consent on a studio's pages: what each framework states, and what the web pixel then sends and stores."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from audience.digest import queue
from audience.games.keys import NewKey
from audience.models import Event
from consent.models import ConsentDecision
from tests.browser.studio import Studio, paths, stored, until
from tests.browser.studio import site as site
from tests.browser.studio import visitor as visitor

GTAG = "window.dataLayer = window.dataLayer || []; window.gtag = function () { dataLayer.push(arguments) };"
DENIED = {"ad_storage": "denied", "ad_user_data": "denied", "ad_personalization": "denied"}
GRANTED = dict.fromkeys(DENIED, "granted")
# A stub of a CMP: `state` keeps the listener and what it states.
TCF = """
window.tell = (data) => { window.tc = data; window.tcListener && window.tcListener(data, true) };
window.__tcfapi = (command, version, listener) => {
  if (command !== "addEventListener" || version !== 2) throw new Error(command)
  window.tcListener = listener
  listener(window.tc || {eventStatus: "cmpuishown", gdprApplies: true, tcString: "", purpose: {consents: {}}}, true)
};
"""
GPP = """
window.tell = (ping) => window.gppListener({eventName: "signalStatus", pingData: ping}, true);
window.__gpp = (command, listener) => {
  if (command !== "addEventListener") throw new Error(command)
  window.gppListener = listener
  listener({eventName: "listenerRegistered", pingData: {signalStatus: "not ready"}}, true)
};
"""


@pytest.fixture
def opened(visitor: BrowserContext, site: Studio) -> Callable[..., Page]:
    """Opens a landing page with a framework's `script` before the snippet."""

    def open_page(script: str = "", path: str = "/?ttclid=E.C.P.1", **config: str) -> Page:
        site.install(before=f"<script>{script}</script>" if script else "", **config)
        if script:
            site.policy = ""
        page = visitor.new_page()
        page.goto(path)
        page.wait_for_function("window.afterclick.on")
        return page

    return open_page


def nothing_was_sent_or_stored(page: Page, site: Studio) -> None:
    page.wait_for_timeout(400)
    assert site.batches() == []
    assert page.context.cookies() == []
    assert page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0


def gtag(page: Page, command: str, values: dict[str, Any]) -> None:
    page.evaluate("([command, values]) => gtag('consent', command, values)", [command, values])


# Levels stated by the page ----------------------------------------------------------------------------------------


def test_nothing_is_sent_or_stored_before_a_decision(opened: Callable[..., Page], site: Studio) -> None:
    page = opened(consent="wait")
    page.evaluate("afterclick('track', 'played')")
    nothing_was_sent_or_stored(page, site)
    page.evaluate("afterclick('consent', 'full', {banner: 'v3'})")
    events = stored(page, 2)
    assert paths(events) == ["?ttclid=E.C.P.1", "?ttclid=E.C.P.1"]
    assert [event.context["consent"] for event in events] == [{"source": "page", "banner": "v3"}] * 2


def test_none_sets_no_cookie_and_sends_nothing(opened: Callable[..., Page], site: Studio) -> None:
    page = opened(consent="none")
    page.evaluate("afterclick('track', 'played'); afterclick('identify', 'anna')")
    page.evaluate("history.pushState({}, '', '/shop')")
    nothing_was_sent_or_stored(page, site)


def test_anonymous_sends_neither_user_nor_traits_nor_cookies(
    opened: Callable[..., Page], visitor: BrowserContext, site: Studio
) -> None:
    visitor.add_cookies([{"name": "_fbp", "value": "fb.1.2.3", "url": site.site}])
    page = opened(consent="anonymous")
    page.evaluate("afterclick('identify', 'anna', {email: 'anna@example.com'}); afterclick('track', 'played')")
    events = stored(page, 2)
    assert [(event.kind, event.consent_level, event.user_id, event.traits) for event in events] == [
        ("page", "anonymous", "", {}),
        ("track", "anonymous", "", {}),
    ]
    assert all("cookies" not in event.context for event in events)
    assert page.evaluate("localStorage.getItem('ac_user')") is None


@pytest.mark.parametrize("proxied", [False, True], ids=["cross-origin", "proxied"])
def test_a_withdrawal_is_sent_and_everything_stored_is_deleted(
    opened: Callable[..., Page], site: Studio, proxied: bool
) -> None:
    page = opened(consent="full", proxied=proxied)
    page.evaluate("afterclick('identify', 'anna')")
    stored(page, 2)
    if proxied:
        until(page, lambda: len(page.context.cookies()) == 2)
    page.evaluate("afterclick('consent', 'none', {banner: 'v3'}); afterclick('track', 'played')")
    last = stored(page, 3)[-1]
    assert (last.name, last.properties, last.consent_level, last.user_id) == (
        *("consent_changed", {"to": "none"}, "none", ""),
    )
    assert last.context["consent"] == {"source": "page", "banner": "v3"}
    assert last.anonymous_id == Event.objects.filter(kind="page").get().anonymous_id
    until(page, lambda: page.context.cookies() == [])
    until(page, lambda: page.evaluate("Object.keys(localStorage)") == [])
    queue.drain()
    decided = ConsentDecision.objects.order_by("decided_at").values_list("anonymous_id", "level", "evidence")
    assert list(decided) == [
        (last.anonymous_id, "full", {"source": "configuration"}),
        (last.anonymous_id, "none", {"source": "page", "banner": "v3"}),
    ]
    site.install(consent="none", proxied=proxied)
    page.goto("/later")
    page.wait_for_timeout(300)
    assert Event.objects.count() == 3


def test_no_late_answer_sets_the_id_again_after_a_withdrawal(opened: Callable[..., Page], site: Studio) -> None:
    page = opened(consent="full", proxied=True)
    page.evaluate("afterclick('consent', 'none')")
    until(page, lambda: page.context.cookies() == [])
    page.wait_for_timeout(2_500)  # the script waits 2 s for the server's id
    assert page.context.cookies() == []
    assert page.evaluate("Object.keys(localStorage)") == []


def test_an_id_that_arrives_after_a_withdrawal_is_deleted(opened: Callable[..., Page], site: Studio) -> None:
    site.id_seconds = 1
    page = opened(consent="full", proxied=True)
    page.evaluate("afterclick('consent', 'none')")
    until(page, lambda: len([one for one in site.requests if one.path.endswith("/s/id") and one.status == 200]) == 2)
    page.wait_for_timeout(2_500)  # the script waits 2 s for the server's id
    assert page.context.cookies() == []
    assert site.batches() == []
    assert page.evaluate("Object.keys(localStorage)") == []


def test_a_cookie_that_the_server_could_not_delete_is_deleted_on_the_next_page(
    opened: Callable[..., Page], site: Studio
) -> None:
    page = withdrawn_while_the_server_is_away(opened)
    site.install(consent="none", proxied=True)
    page.goto("/still-away")
    page.wait_for_timeout(300)
    assert [cookie["name"] for cookie in page.context.cookies()] == ["ac_twin"]
    page.unroute("**/s/id")
    page.goto("/later")
    until(page, lambda: page.context.cookies() == [])
    until(page, lambda: page.evaluate("Object.keys(localStorage)") == [])
    deletions = len([one for one in site.requests if one.path.endswith("/s/id")])
    page.goto("/last")
    page.wait_for_timeout(300)
    assert len([one for one in site.requests if one.path.endswith("/s/id")]) == deletions


def test_a_consent_after_a_withdrawal_starts_a_new_visitor_even_if_the_cookie_was_not_deleted(
    opened: Callable[..., Page], site: Studio
) -> None:
    page = withdrawn_while_the_server_is_away(opened)
    (old,) = {cookie["value"] for cookie in page.context.cookies()}
    page.unroute("**/s/id")
    page.goto("/later")  # whose configuration states full
    until(page, lambda: sorted(cookie["name"] for cookie in page.context.cookies()) == ["ac_id", "ac_twin"])
    until(page, lambda: old not in {cookie["value"] for cookie in page.context.cookies()})
    (new,) = {cookie["value"] for cookie in page.context.cookies()}
    events = stored(page, 3)
    assert [(one.kind, one.anonymous_id) for one in events] == [("page", old), ("track", old), ("page", new)]


def withdrawn_while_the_server_is_away(opened: Callable[..., Page]) -> Page:
    """A page whose visitor has withdrawn; only the route of the cookies did not answer."""
    page = opened(consent="full", proxied=True)
    stored(page, 1)
    until(page, lambda: len(page.context.cookies()) == 2)
    page.route("**/s/id", lambda route: route.abort())
    page.evaluate("afterclick('consent', 'none')")
    stored(page, 2)
    assert [cookie["name"] for cookie in page.context.cookies()] == ["ac_twin"]
    return page


def test_a_withdrawal_deletes_what_pages_left_that_did_not_end(opened: Callable[..., Page], site: Studio) -> None:
    page = opened(consent="full")
    stored(page, 1)
    kept = {"messageId": "m-1", "type": "track", "event": "kept", "anonymousId": "b-7", "consentLevel": "none"}
    entry = [{**kept, "messageId": "m-2", "consentLevel": "full", "userId": "anna"}, kept]
    page.evaluate("(e) => localStorage.setItem('ac_q.crashed', JSON.stringify({t: Date.now() + 3e5, w: 0, e}))", entry)
    page.evaluate("afterclick('consent', 'none')")
    assert sorted(event.name for event in stored(page, 3)) == ["", "consent_changed", "kept"]
    until(page, lambda: page.evaluate("Object.keys(localStorage)") == [])


def test_a_lower_level_holds_for_other_tabs(opened: Callable[..., Page], site: Studio) -> None:
    first = opened(consent="full")
    second = opened(consent="full", path="/second")
    second.evaluate("afterclick('identify', 'anna')")
    stored(first, 3)
    first.evaluate("afterclick('consent', 'anonymous')")
    stored(first, 4)
    second.evaluate("afterclick('track', 'played')")
    last = stored(second, 5)[-1]
    assert (last.name, last.consent_level, last.user_id) == ("played", "anonymous", "")
    assert "cookies" not in last.context


def test_a_player_who_is_identified_before_the_consent_is_known_after_it(
    opened: Callable[..., Page], site: Studio
) -> None:
    page = opened(consent="wait")
    page.evaluate("afterclick('consent', 'anonymous')")
    stored(page, 1)
    page.evaluate("afterclick('identify', 'anna', {email: 'anna@example.com'}); afterclick('track', 'played')")
    assert [event.user_id for event in stored(page, 2)] == ["", ""]
    page.evaluate("afterclick('consent', 'full')")
    events = {event.kind: event for event in stored(page, 4)}
    assert (events["identify"].user_id, events["identify"].traits) == ("anna", {"email": "anna@example.com"})
    page.evaluate("afterclick('reset'); afterclick('consent', 'none'); afterclick('consent', 'full')")
    assert [event.user_id for event in stored(page, 6)[-2:]] == ["", ""], "after a sign-out nobody is known"


def test_a_call_of_a_framework_without_values_does_not_fail(opened: Callable[..., Page], site: Studio) -> None:
    """An error would end the function of the page that called gtag()."""
    page = opened(GTAG, consent="google")
    page.evaluate("gtag('consent', 'default'); gtag('consent', 'update'); gtag('event'); gtag()")
    gtag(page, "update", GRANTED)
    assert [event.consent_level for event in stored(page, 1)] == ["full"]


def test_a_withdrawal_is_not_lost_during_an_outage(opened: Callable[..., Page], site: Studio) -> None:
    page = opened(consent="full")
    stored(page, 1)
    site.fault = 503
    page.evaluate("afterclick('track', 'not_sent'); afterclick('consent', 'none')")
    until(page, lambda: len(site.batches()) >= 2)
    page.close()
    site.fault = 0
    page = opened(consent="none", path="/later")
    events = stored(page, 2)
    assert [event.name for event in events] == ["", "consent_changed"]


def test_messages_of_an_earlier_page_are_not_sent_after_a_withdrawal(opened: Callable[..., Page], site: Studio) -> None:
    site.fault = 503
    page = opened(consent="full")
    until(page, lambda: len(site.batches()) >= 1)
    page.close()
    site.fault = 0
    page = opened(consent="none", path="/later")
    assert [event.name for event in stored(page, 1)] == ["consent_changed"]


def test_a_withdrawal_holds_for_other_tabs(opened: Callable[..., Page], site: Studio) -> None:
    first = opened(consent="full")
    second = opened(consent="full", path="/second")
    stored(first, 2)
    first.evaluate("afterclick('consent', 'none')")
    stored(first, 3)
    second.evaluate("afterclick('track', 'played')")
    second.wait_for_timeout(300)
    assert Event.objects.count() == 3
    assert second.context.cookies() == []


def test_a_later_consent_starts_with_the_page_that_is_open(opened: Callable[..., Page], site: Studio) -> None:
    page = opened(consent="none")
    page.evaluate("afterclick('track', 'not_sent')")
    page.evaluate("afterclick('consent', 'full')")
    (event,) = stored(page, 1)
    assert (event.kind, event.consent_level, paths([event])) == ("page", "full", ["?ttclid=E.C.P.1"])


# Google Consent Mode v2 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["arguments", "array"])
def test_google_default_denied_then_granted(opened: Callable[..., Page], site: Studio, form: str) -> None:
    script = GTAG if form == "arguments" else GTAG.replace("push(arguments)", "push(Array.from(arguments))")
    page = opened(f"{script} gtag('consent', 'default', {DENIED!r})", consent="google", banner="cmp-7")
    nothing_was_sent_or_stored(page, site)
    gtag(page, "update", GRANTED)
    (event,) = stored(page, 1)
    assert (event.consent_level, paths([event])) == ("full", ["?ttclid=E.C.P.1"])
    assert event.context["consent"] == {
        "source": "google",
        "banner": "cmp-7",
        "ad_user_data": "granted",
        "ad_personalization": "granted",
    }
    gtag(page, "update", DENIED)
    assert [one.consent_level for one in stored(page, 2)] == ["full", "none"]
    until(page, lambda: page.context.cookies() == [])


def test_a_google_default_is_no_withdrawal_by_a_visitor_who_consented(
    opened: Callable[..., Page], site: Studio
) -> None:
    script = f"{GTAG} gtag('consent', 'default', {DENIED!r})"
    page = opened(script, consent="google")
    gtag(page, "update", GRANTED)
    (first,) = stored(page, 1)
    page.goto("/later")
    page.wait_for_function("window.afterclick.on")
    page.wait_for_timeout(300)
    assert Event.objects.count() == 1
    gtag(page, "update", GRANTED)
    events = stored(page, 2)
    assert {event.anonymous_id for event in events} == {first.anonymous_id}
    assert [event.kind for event in events] == ["page", "page"]


def test_google_grants_storage_without_user_data(opened: Callable[..., Page], site: Studio) -> None:
    page = opened(f"{GTAG} gtag('consent', 'default', {DENIED!r})", consent="google")
    gtag(page, "update", {"ad_storage": "granted"})
    assert stored(page, 1)[0].consent_level == "anonymous"
    gtag(page, "update", {"ad_user_data": "granted"})
    last = stored(page, 2)[-1]
    assert (last.name, last.properties, last.consent_level) == (
        *("consent_changed", {"from": "anonymous", "to": "full"}, "full"),
    )


def test_a_google_default_that_grants_counts_after_its_wait(opened: Callable[..., Page], site: Studio) -> None:
    page = opened(f"{GTAG} gtag('consent', 'default', { ({**GRANTED, 'wait_for_update': 900})!r})", consent="google")
    nothing_was_sent_or_stored(page, site)
    assert [event.consent_level for event in stored(page, 1)] == ["full"]


def test_a_google_update_within_the_wait_decides(opened: Callable[..., Page], site: Studio) -> None:
    page = opened(f"{GTAG} gtag('consent', 'default', { ({**GRANTED, 'wait_for_update': 500})!r})", consent="google")
    gtag(page, "update", DENIED)
    page.wait_for_timeout(600)
    nothing_was_sent_or_stored(page, site)


def test_a_google_default_that_denies_one_region_counts_everywhere(opened: Callable[..., Page], site: Studio) -> None:
    """The region of the visitor is unknown to the page."""
    regional = f"gtag('consent', 'default', { ({**DENIED, 'region': ['DE', 'US-CA']})!r});"
    page = opened(f"{GTAG} {regional} gtag('consent', 'default', {GRANTED!r})", consent="google")
    nothing_was_sent_or_stored(page, site)


# TCF, GPP, GPC ----------------------------------------------------------------------------------------------------


def tc(consents: dict[str, bool], **fields: Any) -> dict[str, Any]:
    stated = {"eventStatus": "useractioncomplete", "gdprApplies": True, "tcString": "CPtc.string"}
    return {**stated, "purpose": {"consents": consents}, **fields}


@pytest.mark.parametrize(
    ("consents", "level"), [({"1": True, "7": True}, "full"), ({"1": True}, "anonymous"), ({"7": True}, "none")]
)
def test_tcf_purposes(opened: Callable[..., Page], site: Studio, consents: dict[str, bool], level: str) -> None:
    page = opened(TCF, consent="tcf")
    nothing_was_sent_or_stored(page, site)
    page.evaluate("(data) => tell(data)", tc(consents))
    if level == "none":
        nothing_was_sent_or_stored(page, site)
        return
    (event,) = stored(page, 1)
    assert event.consent_level == level
    assert event.context["consent"] == {"source": "tcf", "tcf": "CPtc.string", "gdpr": True}


def test_tcf_withdrawal_keeps_the_string_that_states_it(opened: Callable[..., Page], site: Studio) -> None:
    page = opened(TCF, consent="tcf")
    page.evaluate("(data) => tell(data)", tc({"1": True, "7": True}, eventStatus="tcloaded"))
    stored(page, 1)
    page.evaluate("(data) => tell(data)", tc({}, tcString="CPnothing"))
    last = stored(page, 2)[-1]
    assert (last.consent_level, last.context["consent"]["tcf"]) == ("none", "CPnothing")


def test_tcf_does_not_limit_where_the_gdpr_does_not_apply(opened: Callable[..., Page], site: Studio) -> None:
    page = opened(TCF, consent="tcf")
    page.evaluate("(data) => tell(data)", {"gdprApplies": False, "eventStatus": "tcloaded", "tcString": ""})
    (event,) = stored(page, 1)
    assert (event.consent_level, event.context["consent"]["gdpr"]) == ("full", False)


def test_a_framework_that_loads_later_is_found(opened: Callable[..., Page], site: Studio) -> None:
    page = opened(consent="tcf")
    nothing_was_sent_or_stored(page, site)
    page.evaluate(f"() => {{ {TCF} }}")
    page.evaluate("(data) => tell(data)", tc({"1": True, "7": True}))
    assert [event.consent_level for event in stored(page, 1)] == ["full"]


@pytest.mark.parametrize(
    ("section", "level"),
    [
        ({"usnat": {"SaleOptOut": 2, "SharingOptOut": 2, "TargetedAdvertisingOptOut": 2}}, "full"),
        ({"usnat": {"SaleOptOut": 1}}, "anonymous"),
        ({"usca": [{"SharingOptOut": 1}]}, "anonymous"),
        ({"usva": {"TargetedAdvertisingOptOut": 1}}, "anonymous"),
        ({"usnat": [{"SaleOptOut": 2}, {"SubsectionType": 1, "Gpc": True}]}, "anonymous"),
        ({"tcfeuv2": {"SaleOptOut": 1}}, "full"),
    ],
)
def test_gpp_opt_outs(opened: Callable[..., Page], site: Studio, section: dict[str, Any], level: str) -> None:
    page = opened(GPP, consent="gpp")
    nothing_was_sent_or_stored(page, site)
    ping = {"signalStatus": "ready", "gppString": "DBABL~x", "applicableSections": [7], "parsedSections": section}
    page.evaluate("(ping) => tell(ping)", ping)
    (event,) = stored(page, 1)
    limits = {"limited_data_use": True} if level == "anonymous" else {}
    assert event.consent_level == level
    expected = {"source": "gpp", "gpp": "DBABL~x", "gpp_sid": "7", **limits}
    assert {name: value for name, value in event.context["consent"].items() if value is not False} == expected


def test_global_privacy_control_limits_what_is_sent(
    opened: Callable[..., Page], visitor: BrowserContext, site: Studio
) -> None:
    visitor.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    page = opened(consent="full")
    (event,) = stored(page, 1)
    assert event.consent_level == "anonymous"
    assert event.context["consent"] == {"source": "configuration", "gpc": True, "limited_data_use": True}


def test_global_privacy_control_applies_to_a_visitor_who_had_consented(
    opened: Callable[..., Page], visitor: BrowserContext, site: Studio
) -> None:
    page = opened(consent="full")
    page.evaluate("afterclick('identify', 'anna')")
    stored(page, 2)
    visitor.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    page.goto("/later")
    events = stored(page, 4)[2:]
    assert {(event.consent_level, event.user_id) for event in events} == {("anonymous", "")}
    changed = next(event for event in events if event.name == "consent_changed")
    assert changed.properties == {"from": "full", "to": "anonymous"}
    assert page.evaluate("localStorage.getItem('ac_user')") is None


def test_of_two_frameworks_the_lower_level_counts(opened: Callable[..., Page], site: Studio, key: NewKey) -> None:
    page = opened(f"{TCF} {GPP.replace('window.tell', 'window.tellGpp')}", consent="tcf+gpp")
    page.evaluate("(data) => tell(data)", tc({"1": True, "7": True}))
    nothing_was_sent_or_stored(page, site)
    page.evaluate(
        "(parsedSections) => tellGpp({signalStatus: 'ready', gppString: 'D', applicableSections: [7], parsedSections})",
        {"usnat": {"SaleOptOut": 1}},
    )
    assert [event.consent_level for event in stored(page, 1)] == ["anonymous"]
