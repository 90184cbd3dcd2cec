"""What may be the destination of a tracking link, and what a request can change in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience.intake.links.destinations import PRIVATE, DestinationRefused, add_parameters, read_destination


@pytest.mark.parametrize(
    ("entered", "stored"),
    [
        ("https://store.steampowered.com/app/480/", "https://store.steampowered.com/app/480/"),
        (" HTTPS://Game.Example ", "https://game.example/"),
        ("http://game.example:8080/a?b=c#d", "http://game.example:8080/a?b=c#d"),
        ("https://spiel.example/straße?a=ü", "https://spiel.example/stra%C3%9Fe?a=%C3%BC"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://xn--strae-oqa.example/", "https://xn--strae-oqa.example/"),
        ("https://game.example/100%25?x=%2F", "https://game.example/100%25?x=%2F"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2001:4860:4860::8888]:444/", "https://[2001:4860:4860::8888]:444/"),
    ],
)
def test_a_public_web_address_is_stored_as_ascii(entered: str, stored: str) -> None:
    assert read_destination(entered) == stored


@pytest.mark.parametrize(
    "entered",
    [
        "",
        "game.example",
        "//game.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://game.example/",
        "steam://run/480",
        "https://",
        "https:///path",
        "https://user:password@game.example/",
        "https://user@game.example/",
        "https://game.example\\@evil.example/",
        "https://game.example/a b",
        "https://game.example/\r\nSet-Cookie: a=b",
        "https://game.example:99999/",
        "https://[::1",
        "https://-game.example/",
        "https://a..example/",
        f"https://game.example/{'a' * 2000}",
        "http://127.0.0.1:8000/go/other",
        # Browsers open another host than the one that Python reads.
        "https://straße.example/",
        "https://STRAẞE.example/",
        "https://κόσμος.example/",
        "https://game\u200d.example/",
    ],
)
def test_anything_else_is_refused(entered: str) -> None:
    with pytest.raises(DestinationRefused):
        read_destination(entered)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "[::1]",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "2130706433",
        "0x7f.1",
        "127.1",
        "localhost",
        "localhost.",
        "app.localhost",
        "printer.local",
        "db.internal",
        "router.lan",
        "intranet",
    ],
)
def test_a_private_address_is_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(DestinationRefused, match=PRIVATE.split(".")[0]):
        read_destination(f"https://{host}/")


def test_parameters_replace_those_of_the_same_name_and_keep_the_others_as_written() -> None:
    url = "https://game.example/play?utm_source=old&a=%2f+b&a=2&empty=#top"
    changed = add_parameters(url, tags={"utm_source": "new"}, others={"a": "x", "click": "E.C.P"})
    assert changed == "https://game.example/play?a=%2f+b&a=2&empty=&utm_source=new&click=E.C.P#top"


def test_without_parameters_the_destination_is_unchanged() -> None:
    url = "https://game.example/play?a=%2f"
    assert add_parameters(url, tags={}, others={}) == url


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=5))
def test_no_value_changes_scheme_host_path_or_fragment(values: dict[str, str]) -> None:
    changed = add_parameters("https://game.example/play#top", tags=values, others=values)
    assert changed.startswith("https://game.example/play")
    assert changed[len("https://game.example/play")] in "?#"
    assert changed.endswith("#top")
    assert changed.count("#") == 1
    assert changed.isascii()
    assert changed.isprintable()
    assert " " not in changed
