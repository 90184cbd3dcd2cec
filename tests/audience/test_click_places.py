"""Where a click may be stated: a vector per place and parameter, unfilled macros, organic links of Meta."""

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience.digest.click_ids import is_click_id
from audience.digest.clicks import Click, read, read_with_unfilled

PARAMETERS = (
    *("ttclid", "rdt_cid", "fbclid", "gclid", "gbraid", "wbraid", "dclid", "msclkid", "twclid", "ScCid", "epik"),
    *("li_fat_id", "irclickid"),
)
# `ID` is replaced by the parameter with a click id.
PLACES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"page_url": "https://g.example/?ID"}),
    ({}, {"page_url": "https://g.example/play?utm_source=news&ID&x=1"}),
    ({}, {"page_url": "https://g.example/#/shop?ID"}),
    ({}, {"page_url": "https://g.example/?a=1#/shop?ID"}),
    ({}, {"page_url": "https://g.example/#ID"}),
    ({}, {"page_url": "https://g.example/?utm_source=news&amp;ID"}),
    ({}, {"page_url": "https://g.example/?utm_source=news&amp;amp;ID&amp;a=1"}),
    ({}, {"page_url": "https://g.example/?amp;ID"}),
    ({}, {"page_url": "https://g.example/?a=1&#38;ID"}),
    ({}, {"page_url": "https://g.example/?ref=7?ID"}),
    ({}, {"page_url": "https://g.example/play&ID"}),
    ({}, {"page_url": f"https://g.example/?{quote('utm_source=news&ID', safe='')}"}),
    ({}, {"page_url": f"https://g.example/{quote('?ID', safe='')}"}),
    ({}, {"page_url": f"https://g.example/?open={quote('mygame://open?ID&a=1', safe='')}&b=2"}),
    ({}, {"page_url": "http://[broken/?ID"}),
    ({}, {"page_url": "https://g.example/", "page_search": "?ID"}),
    ({}, {"page_search": "ID"}),
    ({}, {"page_url": "https://g.example/", "page_referrer": "https://www.g.example/ad?ID"}),
    ({}, {"page_url": "https://play.g.example/", "referrer": {"type": "web", "url": "https://g.example/?ID"}}),
    ({}, {"page_referrer": "https://g.example/?ID"}),
    ({}, {"campaign": {"name": "Summer", "ID": ""}}),
    ({}, {"install_referrer": "utm_source=apps&ID"}),
    ({"url": "https://g.example/?ID", "path": "/"}, {}),
    ({"url": "mygame://open?ID"}, {}),
    ({"search": "?ID"}, {}),
    ({"path": "/shop?ID"}, {}),
    ({"referrer": "https://g.example/?ID"}, {"page_url": "https://g.example/"}),
    ({"page_location": "https://g.example/?ID"}, {}),
    ({"landing_page": "https://g.example/?ID"}, {}),
    ({"deep_link": "mygame://open?ID"}, {}),
    ({"deepLink": "https://g.example/open#ID"}, {}),
    ({"install_referrer": "utm_source=apps&utm_medium=organic2&ID"}, {}),
    ({"install_referrer": quote("utm_source=apps&ID", safe="")}, {}),
    ({"installReferrer": "ID"}, {}),
    ({"campaign": {"source": "apps", "ID": ""}}, {}),
    ({"ID": ""}, {}),
]
CLICK_ID = "E.C.P_Ab-1%2B.~"  # percent-encoded: a plus


def filled(value: Any, parameter: str, click_id: str) -> Any:
    """The value with `ID` replaced, as a key and in texts."""
    if isinstance(value, dict):
        pairs = ((name, filled(each, parameter, click_id)) for name, each in value.items())
        return {parameter if name == "ID" else name: click_id if name == "ID" else each for name, each in pairs}
    if not isinstance(value, str):
        return value
    pair = f"{parameter}={quote(click_id)}"
    return value.replace("ID", quote(pair, safe="") if "%3F" in value or "%3D" in value else pair)


def read_place(place: int, parameter: str, click_id: str) -> Click | None:
    properties, context = (filled(each, parameter, click_id) for each in PLACES[place])
    return read(properties=properties, context=context)


@pytest.mark.parametrize("parameter", PARAMETERS)
@pytest.mark.parametrize("place", range(len(PLACES)))
def test_every_parameter_is_read_from_every_place(place: int, parameter: str) -> None:
    for name in (parameter, parameter.lower(), parameter.upper(), parameter.title()):
        click = read_place(place, name, "E.C.P_Ab-1+.~/")

        assert click is not None, PLACES[place]
        assert (click.parameter, click.click_id) == (parameter.lower(), "E.C.P_Ab-1+.~/")


@pytest.mark.parametrize("place", range(len(PLACES)))
@given(click_id=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40))
def test_a_click_id_of_any_characters_is_whole_or_absent(place: int, click_id: str) -> None:
    click = read_place(place, "ttclid", click_id)

    assert (click.click_id if click else "absent") == (click_id if is_click_id(click_id) else "absent")


urls = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            ["https://g.example/", "?", "&", "&amp;", "#", "=", "%", "%26", "%3D", "ttclid", "fbclid=", "utm_source=x"]
            + ["T1", "\0", "漢", " ", "{", "%00", "[", "//", "amp;", "x" * 3000]
        ),
        max_size=12,
    ).map("".join),
)
values = st.one_of(urls, st.none(), st.integers(), st.dictionaries(st.sampled_from(["url", "source", "ttclid"]), urls))


@given(
    properties=st.dictionaries(
        st.sampled_from(["url", "search", "ttclid", "campaign", "install_referrer", "_ttp"]), values
    ),
    context=st.dictionaries(
        st.sampled_from(["page_url", "page_referrer", "campaign", "referrer", "ip", "cookies"]), values
    ),
)
def test_no_event_makes_the_reader_raise_or_return_what_cannot_be_sent(
    properties: dict[str, Any], context: dict[str, Any]
) -> None:
    click, unfilled = read_with_unfilled(properties=properties, context=context)

    assert click is None or not click.click_id or is_click_id(click.click_id)
    assert not any(is_click_id(value) for value in unfilled.values())


@given(length=st.integers(1, 4000), before=st.integers(0, 16_000))
def test_a_click_id_is_never_cut_by_the_length_of_its_url(length: int, before: int) -> None:
    click_id = ("abcdefghij" * 400)[:length]
    url = f"https://g.example/?utm_content={'x' * before}&ttclid={click_id}"
    click = read(properties={}, context={"page_url": url})

    is_absent = length > 2048 or len(url) > 16_384
    assert (click.click_id if click else "") == ("" if is_absent else click_id)


MACROS = (
    *(
        "__CLICKID__",
        "{{ad.id}}",
        "{{CLICK_ID}}",
        "{gclid}",
        "${CLICK_ID}",
        "%s",
        "%%CLICKID%%",
        "[CLICKID]",
        "<clickid>",
    ),
    *("ttclid", "CLICK_ID", "YOUR_CLICK_ID", "prefix-{gclid}", "null", "undefined", "0", "(none)", "None"),
)


@pytest.mark.parametrize("macro", MACROS)
def test_an_unfilled_macro_is_no_click_and_is_returned(macro: str) -> None:
    for text in {quote(macro, safe=""), quote(quote(macro, safe=""), safe="")}:
        read_url = read_with_unfilled(properties={}, context={"page_url": f"https://g.example/?ttclid={text}"})
        click, unfilled = read_url

        assert click is None
        assert list(unfilled) == ["ttclid"]
    assert read_with_unfilled(properties={"url": f"g://open?ttclid={quote(macro)}"}, context={})[1] == {"ttclid": macro}


@pytest.mark.parametrize("value", ["null", "undefined", "0", "none"])
def test_the_word_of_a_program_without_a_click_is_no_macro(value: str) -> None:
    assert read_with_unfilled(properties={"ttclid": value}, context={}) == (None, {})
    assert read_with_unfilled(properties={"ttclid": "__CLICKID__"}, context={})[1] == {"ttclid": "__CLICKID__"}


def test_a_visit_with_an_unfilled_macro_is_paid_if_its_tags_say_so() -> None:
    url = "https://g.example/?ttclid=__CLICKID__&utm_source=tiktok&utm_medium=cpc"
    click, unfilled = read_with_unfilled(properties={}, context={"page_url": url})

    assert click is not None
    assert (click.network, click.parameter, click.click_id) == ("tiktok", "", "")
    assert unfilled == {"ttclid": "__CLICKID__"}


def test_of_a_repeated_parameter_a_macro_does_not_replace_an_id() -> None:
    click = read(properties={}, context={"page_url": "https://g.example/?ttclid=T1&ttclid=__CLICKID__"})

    assert click is not None
    assert click.click_id == "T1"


# Links that lead elsewhere


@pytest.mark.parametrize("name", ["link_clicked", "Link Clicked", "Product Shared", "button_tapped"])
def test_the_tags_of_a_link_that_leads_elsewhere_are_no_visit(name: str) -> None:
    tagged = {"url": "https://store.example/?utm_source=tiktok&utm_medium=cpc"}

    assert read(properties=tagged, context={}, name=name) is None
    assert read(properties=tagged, context={}, name="Deep Link Clicked") is not None
    assert read(properties=tagged, context={}, name="page_viewed") is not None


# Meta writes fbclid on organic links too


def meta(query: str, *, untagged_is_paid: bool = True, **context: Any) -> str:
    """The network of a visit with an fbclid and this further query."""
    page = {"page_url": f"https://g.example/?fbclid=F1&{query}", **context}
    click = read(properties={}, context=page, untagged_is_paid=untagged_is_paid)
    return click.network if click else "organic"


@pytest.mark.parametrize(
    ("query", "network"),
    [
        ("", "meta"),
        ("utm_campaign=summer", "meta"),
        ("utm_source=facebook", "meta"),
        ("utm_source=facebook&utm_medium=cpc", "meta"),
        ("utm_source=fb&utm_medium=paid_social", "meta"),
        ("utm_source=newsletter&utm_medium=cpc", "meta"),
        ("utm_source=facebook&utm_medium=Facebook_Mobile_Feed", "meta"),
        ("utm_source=facebook&utm_medium=organic", "organic"),
        ("utm_source=facebook&utm_medium=Organic-Social", "organic"),
        ("utm_source=ig&utm_medium=social&utm_content=link_in_bio", "organic"),
        ("utm_medium=referral", "organic"),
        ("utm_medium=e-mail", "organic"),
        ("utm_source=newsletter", "organic"),
        ("utm_source=Organic", "organic"),
    ],
)
def test_an_fbclid_is_paid_unless_the_tags_of_its_url_say_otherwise(query: str, network: str) -> None:
    assert meta(query) == network


def test_by_the_games_setting_an_untagged_fbclid_is_organic() -> None:
    assert meta("", untagged_is_paid=False) == "organic"
    assert meta("utm_source=facebook", untagged_is_paid=False) == "meta"
    assert meta("", untagged_is_paid=False, campaign={"source": "facebook", "medium": "cpc"}) == "meta"
    assert meta("", campaign={"source": "facebook", "medium": "social"}) == "organic"
    assert meta("ttclid=T1", untagged_is_paid=False) == "tiktok"


def test_the_tags_that_opened_the_session_say_nothing_about_a_later_fbclid() -> None:
    properties = {"utm_source": "newsletter", "utm_medium": "email"}
    click = read(properties=properties, context={"page_url": "https://g.example/?fbclid=F1"})

    assert click is not None
    assert (click.network, click.campaign) == ("meta", {})


@pytest.mark.parametrize("place", [{"fbclid": "F1"}, {"landing_page": "https://g.example/?fbclid=F1"}])
def test_an_fbclid_stated_again_without_tags_is_what_its_url_says(place: dict[str, Any]) -> None:
    context = {"page_url": "https://g.example/?fbclid=F1&utm_medium=social"}

    assert read(properties=place, context=context) is None
    other = read(properties={"fbclid": "F2"}, context=context)
    assert other is not None
    assert other.click_id == "F2"


# A click that only repeats


@pytest.mark.parametrize(
    ("properties", "context", "is_repeated"),
    [
        ({"ttclid": "T1"}, {}, False),
        ({"ttclid": "T1"}, {"page_url": "https://g.example/?ttclid=T1"}, False),
        ({"ttclid": "T1"}, {"page_url": "https://g.example/shop"}, True),
        ({"landing_page": "https://g.example/?ttclid=T1"}, {"page_url": "https://g.example/shop"}, True),
        ({}, {"page_url": "https://g.example/shop", "page_referrer": "https://g.example/?ttclid=T1"}, True),
        ({"utm_source": "tiktok", "utm_medium": "cpc"}, {"page_url": "https://g.example/shop"}, False),
    ],
)
def test_a_click_beside_the_url_of_another_page_may_be_an_earlier_one(
    properties: dict[str, Any], context: dict[str, Any], is_repeated: bool
) -> None:
    click = read(properties=properties, context=context)

    assert click is not None
    assert click.is_repeated is is_repeated


def test_tags_of_any_utm_parameter_are_kept() -> None:
    tags = {"utm_source": "tiktok", "utm_medium": "cpc", "utm_id": "17", "utm_marketing_tactic": "a b"}
    click = read(properties={}, context={"page_url": f"https://g.example/?{urlencode(tags)}"})

    assert click is not None
    assert click.campaign == tags
