"""The network of an event's click, row by row of the attribution table."""

from typing import Any
from urllib.parse import quote

import pytest

from audience.digest import click_ids
from audience.digest.click_ids import MAX_LENGTH
from audience.digest.clicks import Click, read

CLICK_IDS = [
    ("fbclid", "meta"),
    ("ttclid", "tiktok"),
    ("gclid", "google"),
    ("dclid", "google"),
    ("rdt_cid", "reddit"),
    ("twclid", "x"),
    ("msclkid", "other"),
    ("li_fat_id", "other"),
    ("gbraid", "google"),
    ("wbraid", "google"),
    ("sccid", "snapchat"),
    ("epik", "other"),
    ("irclickid", "other"),
]
PAID_SOURCES = [("amazon_ads", "amazon"), ("adwords", "google"), ("ironsource", "other")]
SOURCES = [
    ("facebook", "meta"),
    ("fb", "meta"),
    ("meta", "meta"),
    ("instagram", "meta"),
    ("ig", "meta"),
    ("tiktok", "tiktok"),
    ("google", "google"),
    ("youtube", "google"),
    ("reddit", "reddit"),
    ("snapchat", "snapchat"),
    ("x", "x"),
    ("twitter", "x"),
    ("linkedin", "other"),
]
PAID_MEDIA = [
    "paid",
    "paid_social",
    "paidsocial",
    "cpc",
    "cpm",
    "ppc",
    "ads",
    "sponsored_post",
    "pmax",
    "pmax_shopping",
]


def from_properties(**properties: Any) -> Click | None:
    return read(properties=properties, context={})


def from_url(query: str) -> Click | None:
    return read(properties={}, context={"page_url": f"https://mygame.com/play?{query}"})


@pytest.mark.parametrize(("parameter", "network"), CLICK_IDS)
def test_a_click_id_names_its_network_from_properties_and_from_the_url(parameter: str, network: str) -> None:
    for click in (from_properties(**{parameter: "c-1"}), from_url(f"{parameter}=c-1")):
        assert click is not None
        assert (click.network, click.parameter, click.click_id) == (network, parameter, "c-1")


@pytest.mark.parametrize("position", range(len(CLICK_IDS)))
def test_of_several_click_ids_the_first_of_the_table_names_the_network(position: int) -> None:
    rest = CLICK_IDS[position:]
    query = "&".join(f"{parameter}={parameter}-1" for parameter, _ in reversed(rest))
    click = from_url(query)

    assert click is not None
    assert (click.network, click.click_id) == (rest[0][1], f"{rest[0][0]}-1")


@pytest.mark.parametrize(("parameter", "network"), CLICK_IDS)
def test_a_click_id_takes_precedence_over_utm_parameters(parameter: str, network: str) -> None:
    click = from_url(f"utm_source=amazon_ads&utm_medium=cpc&{parameter}=c-1")

    assert click is not None
    assert (click.network, click.campaign) == (network, {"utm_source": "amazon_ads", "utm_medium": "cpc"})


@pytest.mark.parametrize(("source", "network"), PAID_SOURCES)
@pytest.mark.parametrize("medium", ["", "&utm_medium=organic"])
def test_a_paid_source_needs_no_medium(source: str, network: str, medium: str) -> None:
    click = from_url(f"utm_source={source}{medium}")

    assert click is not None
    assert (click.network, click.click_id) == (network, "")


@pytest.mark.parametrize(("source", "network"), SOURCES)
@pytest.mark.parametrize("medium", PAID_MEDIA)
def test_a_source_with_a_paid_medium_is_a_click_without_an_id(source: str, network: str, medium: str) -> None:
    for click in (
        from_properties(utm_source=source, utm_medium=medium),
        from_url(f"utm_source={source}&utm_medium={medium}"),
    ):
        assert click is not None
        assert (click.network, click.click_id) == (network, "")
        assert click.campaign == {"utm_source": source, "utm_medium": medium}


@pytest.mark.parametrize(("source", "_network"), SOURCES)
@pytest.mark.parametrize("medium", ["", "organic", "social", "referral", "email", "cpa", "paid-social", "display"])
def test_a_source_without_a_paid_medium_is_organic(source: str, _network: str, medium: str) -> None:
    assert from_url(f"utm_source={source}&utm_medium={medium}") is None


@pytest.mark.parametrize("medium", PAID_MEDIA)
def test_an_unknown_source_is_organic_whatever_the_medium(medium: str) -> None:
    assert from_url(f"utm_source=newsletter&utm_medium={medium}") is None
    assert from_url(f"utm_medium={medium}") is None


def test_parameters_are_read_in_any_case_and_a_click_id_is_unchanged() -> None:
    words = from_url("UTM_Source=TikTok&utm_MEDIUM=CPC")
    click = from_url("TTCLID=AbC.dEf")

    assert words is not None
    assert words.network == "tiktok"
    assert click is not None
    assert (click.network, click.click_id) == ("tiktok", "AbC.dEf")


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"page_url": ""},
        {"page_url": "https://mygame.com/"},
        {"page_url": "https://mygame.com/?ttclid="},
        {"page_url": "https://mygame.com/?ttclid=%20"},
        {"page_url": "https://mygame.com/ttclid=T1"},
        {"page_url": 7},
        {"page_url": {"ttclid": "T1"}},
        {"page_url": "https://mygame.com/", "page_referrer": "https://shop.example/?ttclid=T1"},
        {"page_referrer": "https://mygame.com/?utm_source=tiktok&utm_medium=cpc"},
        {"campaign": "summer"},
        {"campaign": {"source": "newsletter", "medium": "cpc"}},
    ],
)
def test_an_organic_event_has_no_click(context: dict[str, Any]) -> None:
    assert read(properties={}, context=context) is None


@pytest.mark.parametrize("value", [None, "", "  ", 5, True, ["T1"], {"id": "T1"}])
def test_a_click_id_that_is_no_text_is_none(value: Any) -> None:
    assert from_properties(ttclid=value) is None


def test_the_url_is_newer_than_the_properties() -> None:
    click = read(properties={"ttclid": "old"}, context={"page_url": "https://mygame.com/?rdt_cid=new"})

    assert click is not None
    assert (click.network, click.click_id) == ("reddit", "new")


def test_the_properties_count_when_the_url_is_organic() -> None:
    click = read(properties={"ttclid": "T1"}, context={"page_url": "https://mygame.com/?utm_source=newsletter"})

    assert click is not None
    assert (click.network, click.click_id) == ("tiktok", "T1")


def test_of_a_repeated_parameter_the_last_counts() -> None:
    click = from_url("ttclid=first&ttclid=last")

    assert click is not None
    assert click.click_id == "last"


def test_percent_encoding_is_undone_once() -> None:
    click = from_url("ttclid=E.C.P%2Babc%252F")

    assert click is not None
    assert click.click_id == "E.C.P+abc%2F"


@pytest.mark.parametrize(
    "campaign",
    [
        {"source": "tiktok", "medium": "cpc", "name": "Summer", "content": "v1", "term": "rpg"},
        {"utm_source": "tiktok", "utm_medium": "cpc", "utm_campaign": "Summer", "utm_content": "v1", "utm_term": "rpg"},
    ],
)
def test_the_campaign_of_the_context_is_read_in_both_spellings(campaign: dict[str, str]) -> None:
    click = read(properties={}, context={"campaign": campaign})

    assert click is not None
    assert click.network == "tiktok"
    assert click.campaign == {
        "utm_source": "tiktok",
        "utm_medium": "cpc",
        "utm_campaign": "Summer",
        "utm_content": "v1",
        "utm_term": "rpg",
    }


def test_a_click_has_every_field_that_networks_need() -> None:
    url = (
        "https://mygame.com/play?ttclid=T1&utm_source=tiktok&utm_medium=cpc&utm_campaign=c&utm_content=d&utm_term=e"
        "&referral_code=r&other=1"
    )
    context = {"page_url": url, "page_referrer": "https://www.tiktok.com/", "ip": "203.0.113.7", "user_agent": "M/5"}

    assert read(properties={"_ttp": "browser-1"}, context=context) == Click(
        network="tiktok",
        parameter="ttclid",
        click_id="T1",
        campaign={
            "utm_source": "tiktok",
            "utm_medium": "cpc",
            "utm_campaign": "c",
            "utm_content": "d",
            "utm_term": "e",
            "referral_code": "r",
        },
        page_url=url,
        referrer="https://www.tiktok.com/",
        ip="203.0.113.7",
        user_agent="M/5",
        browser_id="browser-1",
        cookies={"_ttp": "browser-1"},
        is_repeated=False,
    )


def test_landing_page_and_referrer_of_the_properties_are_used_where_the_context_has_none() -> None:
    properties = {"ttclid": "T1", "landing_page": "https://mygame.com/a", "referrer": "https://t.co/"}
    click = read(properties=properties, context={})

    assert click is not None
    assert (click.page_url, click.referrer) == ("https://mygame.com/a", "https://t.co/")


@pytest.mark.parametrize(
    ("network_click", "cookies", "browser_id"),
    [
        ("ttclid", {"_ttp": "tt", "_rdt_uuid": "rd"}, "tt"),
        ("ttclid", {"ttp": "tt"}, "tt"),
        ("rdt_cid", {"_ttp": "tt", "_rdt_uuid": "rd"}, "rd"),
        ("rdt_cid", {"rdt_uuid": "rd"}, "rd"),
        ("gclid", {"_ttp": "tt", "_rdt_uuid": "rd"}, ""),
        ("ttclid", {"_ttp": "x" * 256}, "x" * 256),
        ("ttclid", {"_ttp": "x" * 257}, ""),
    ],
)
def test_the_browser_id_is_the_networks_own_cookie(
    network_click: str, cookies: dict[str, str], browser_id: str
) -> None:
    for where in ({"properties": cookies, "context": {}}, {"properties": {}, "context": cookies}):
        click = read(properties={**where["properties"], network_click: "c-1"}, context=where["context"])

        assert click is not None
        assert click.browser_id == browser_id


def test_the_cookies_of_all_networks_are_read_from_properties_and_context_in_any_case() -> None:
    properties = {"gclid": "G1", "gcl_gb": "b", "_gcl_aw": " ", "cookies": {"_FBP": "fb.1.2.3", "_fbc": "fb.1.2.F"}}
    context = {"_gcl_aw": "a", "TTP": "t", "cookies": {"rdt_uuid": "r", "_scid": "s", "_twclid": '{"twclid":"2"}'}}
    click = read(properties=properties, context=context)

    assert click is not None
    assert click.cookies == {
        "_ttp": "t",
        "_rdt_uuid": "r",
        "_fbc": "fb.1.2.F",
        "_fbp": "fb.1.2.3",
        "_scid": "s",
        "_twclid": '{"twclid":"2"}',
        "_gcl_aw": "a",
        "_gcl_gb": "b",
    }
    assert click.browser_id == ""


def test_the_cookie_of_x_is_read_as_its_pixel_writes_it() -> None:
    encoded = "%7B%22pixelVersion%22%3A%220.0.1%22%2C%22twclid%22%3A%222-abc%22%7D"
    click = read(properties={"twclid": "2-def"}, context={"cookies": {"_twclid": encoded}})

    assert click is not None
    assert click.cookies == {"_twclid": encoded}


def test_a_click_parameter_is_no_cookie_of_the_same_name() -> None:
    click = from_properties(twclid="2-abc", epik="E1")

    assert click is not None
    assert click.cookies == {}


@pytest.mark.parametrize("value", ["undefined", "null", "{{ttp}}", "x" * 1025, "a\ufffdb", "", 5, None, "\x07a"])
def test_a_cookie_that_cannot_be_one_is_left_out(value: Any) -> None:
    click = from_properties(ttclid="T1", _ttp=value)

    assert click is not None
    assert (click.cookies, click.browser_id) == ({}, "")


def test_a_click_id_that_is_too_long_for_its_index_or_not_ascii_is_absent() -> None:
    """A B-tree row holds 2,704 bytes; ad networks write ASCII."""
    long = from_properties(ttclid="x" * MAX_LENGTH)

    assert long is not None
    assert long.click_id == "x" * MAX_LENGTH
    for value in ("x" * (MAX_LENGTH + 1), "漢", "a b", "a\ufffd"):
        assert from_properties(ttclid=value) is None
        assert from_url(f"ttclid={quote(value)}") is None


def test_what_is_too_long_for_its_column_is_left_out_whole() -> None:
    url = f"https://mygame.com/?utm_content={'x' * 3000}&ttclid=T1"
    context = {"page_url": url, "page_referrer": url, "ip": "2" * 46, "user_agent": "M" * 1025}
    click = read(properties={}, context=context)

    assert click is not None
    assert (click.click_id, click.campaign) == ("T1", {})
    assert (click.page_url, click.referrer, click.ip, click.user_agent) == ("", "", "", "")


def test_a_nul_in_the_query_of_a_page_is_no_part_of_a_click_id_or_a_campaign() -> None:
    assert from_url("ttclid=a%00b") is None
    click = from_url("utm_source=tiktok&utm_medium=cpc&utm_campaign=a%00b")
    assert click is not None
    assert click.campaign["utm_campaign"] == "a\ufffdb"


def test_a_registered_network_gets_the_clicks_of_its_parameters_and_sources_and_its_own_cookies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for table in ("CLICK_IDS", "SOURCES", "COOKIES"):
        monkeypatch.setattr(click_ids, table, dict(getattr(click_ids, table)))
    click_ids.register("toy", parameters=["li_fat_id", "ToyClick"], sources=["toys"], cookies=["_toy"])

    parameters = list(click_ids.CLICK_IDS)
    assert (parameters[: len(CLICK_IDS)], parameters[-1]) == ([parameter for parameter, _ in CLICK_IDS], "toyclick")
    for query, click_id in (("toyclick=T1", "T1"), ("li_fat_id=L1", "L1"), ("utm_source=toys&utm_medium=cpc", "")):
        click = read(properties={"toy": "browser-1"}, context={"page_url": f"https://mygame.com/?{query}"})
        assert click is not None
        assert (click.network, click.click_id, click.browser_id) == ("toy", click_id, "browser-1")
    both = from_url("toyclick=T1&gclid=G1")
    assert both is not None
    assert both.network == "google"
