"""How clicks reach a postback to a custom URL: by the click parameters that it names."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.digest import click_places, clicks, named_parameters
from audience.digest.click_ids import CLICK_IDS
from audience.games.keys import NewKey
from audience.models import Conversion, Game, Reason, Touch
from postbacks.configs import click_parameters, versions
from postbacks.delivery import sending
from postbacks.models import CredentialCheck, Delivery, PostbackConfig, Purpose
from postbacks.networks.custom.imitation import ACCOUNTS
from postbacks.outbox import fan_out
from postbacks.preview import dry_run, preview
from postbacks.reporting import audit, conversion_status
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.audience.immutable import ago, digest, page, purchase
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def postback(game: Game, *parameters: str, **given: Any) -> PostbackConfig:
    row = factories.config(game, network="custom", click_parameters=list(parameters), **given)
    row.versions.create(
        number=1, triggers=row.triggers, enabled=True, click_parameters=list(parameters), set_at=row.created_at
    )
    return row


def won() -> tuple[str, str, str] | None:
    """Network, parameter and click id of the click that won the only conversion."""
    touch = Conversion.objects.select_related("touch").get().touch
    return (touch.network, touch.parameter, touch.click_id) if touch else None


def states() -> dict[str, tuple[str, str]]:
    rows = Delivery.objects.select_related("config")
    return {row.config.pixel_id: (row.state, row.reason) for row in rows}


# Digest --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameter", ["irclickid", "msclkid", "li_fat_id", "epik"])
def test_a_click_of_a_network_without_postbacks_reaches_the_postback_that_names_its_parameter(
    sandbox: Sandbox, game: Game, key: NewKey, parameter: str
) -> None:
    postback(game, parameter)
    digest(key, page("a-1", f"https://mygame.com/?{parameter}=click-1"), purchase("ada", anonymousId="a-1"))
    assert won() == ("other", parameter, "click-1")
    fan_out.fan_out_due()
    sending.drain(network="custom", max_in_flight=1)
    assert [request["body"]["click_id"] for request in sandbox.received("custom")] == ["click-1"]


@pytest.mark.parametrize(
    "event",
    [
        {"url": "https://mygame.com/?My_Click=click-1"},
        {"url": "https://mygame.com/#my_click=click-1"},
        {"url": "https://mygame.com/?next=https%3A%2F%2Fmygame.com%2F%3Fmy_click%3Dclick-1"},
        {"properties": {"my_click": "click-1"}},
        {"properties": {"MY_CLICK": "click-1"}},
        {"properties": {"deep_link": "mygame://open?my_click=click-1"}},
    ],
    ids=str,
)
def test_a_parameter_that_a_marketer_names_is_read_wherever_the_others_are(
    game: Game, key: NewKey, event: dict[str, Any]
) -> None:
    postback(game, "my_click")
    digest(key, page("a-1", **event), purchase("ada", anonymousId="a-1"))
    assert won() == ("other", "my_click", "click-1")


def test_it_is_a_click_in_its_own_game_only(game: Game, key: NewKey) -> None:
    postback(factories.game(), "my_click")
    digest(key, page("a-1", "https://mygame.com/?my_click=click-1"), purchase("ada", anonymousId="a-1"))
    assert won() is None
    assert "my_click" not in CLICK_IDS


def test_a_parameter_that_is_known_by_itself_comes_first(game: Game, key: NewKey) -> None:
    postback(game, "my_click")
    digest(key, page("a-1", "https://mygame.com/?my_click=c&ttclid=T1"), purchase("ada", anonymousId="a-1"))
    assert won() == ("tiktok", "ttclid", "T1")


def test_a_parameter_stays_known_after_it_is_removed_and_its_postback_deleted(game: Game) -> None:
    config = postback(game, "my_click", "other_click")
    PostbackConfig.objects.update(click_parameters=["newer", "*"], deleted_at=timezone.now())
    assert config.versions.count() == 1
    assert click_parameters.of_game(game) == ["my_click", "other_click", "newer"]
    assert click_parameters.of_game(factories.game()) == []


def test_a_digest_reads_the_parameters_of_its_game_once(game: Game) -> None:
    postback(game, "my_click")
    assert [queries_of(lambda: named_parameters.table_of(game)) for _ in range(3)] == [1, 0, 0]
    assert list(named_parameters.table_of(game)) == [*CLICK_IDS, "my_click"]
    assert named_parameters.table_of(game)["my_click"] == "other"


def test_an_unfilled_macro_of_a_named_parameter_is_no_click(game: Game, key: NewKey) -> None:
    postback(game, "my_click")
    digest(key, page("a-1", "https://mygame.com/?my_click=%7Bclickid%7D"), purchase("ada", anonymousId="a-1"))
    assert (won(), Touch.objects.count()) == (None, 0)


def test_without_a_game_the_table_is_that_of_all_networks() -> None:
    context = {"page_url": "https://mygame.com/?my_click=c&irclickid=i"}
    found = clicks.read(properties={}, context=context)
    assert found is not None
    assert (found.parameter, found.click_id) == ("irclickid", "i")
    assert click_places.url_parameters("https://mygame.com/?my_click=c", {"my_click": "other"}) == {"my_click": "c"}


# Which postback ------------------------------------------------------------------------------------


def clicked(game: Game, parameter: str, *, network: str = "other", **given: Any) -> Conversion:
    player = factories.person(game)
    touch = factories.touch(player, network=network, parameter=parameter)
    return factories.conversion(player, touch=touch, **given)


def test_each_click_reaches_the_postbacks_that_name_its_parameter(game: Game) -> None:
    postback(game, "irclickid", pixel_id="impact")
    postback(game, "tblci", "irclickid", pixel_id="both")
    postback(game, "tblci", pixel_id="taboola")
    clicked(game, "irclickid")
    fan_out.fan_out_due()
    assert states() == {"impact": ("waiting", ""), "both": ("waiting", "")}
    assert Conversion.objects.get().reason == ""


def test_a_click_that_no_postback_names_is_another_networks(game: Game) -> None:
    postback(game, "irclickid")
    clicked(game, "msclkid")
    fan_out.fan_out_due()
    assert states() == {}
    assert Conversion.objects.get().reason == Reason.OTHER_NETWORK


@pytest.mark.parametrize("network", ["tiktok", "google", "other"])
def test_a_star_takes_every_click_beside_its_own_network(game: Game, network: str) -> None:
    factories.config(game)
    postback(game, "*", pixel_id="warehouse")
    clicked(game, "", network=network)
    fan_out.fan_out_due()
    own = {factories.PIXELS["tiktok"]: ("waiting", "")} if network == "tiktok" else {}
    assert states() == {"warehouse": ("waiting", ""), **own}


def test_the_reason_of_a_conversion_is_that_of_the_postback_that_takes_its_click(game: Game) -> None:
    factories.config(game)
    postback(game, "irclickid", enabled=False)
    clicked(game, "irclickid")
    fan_out.fan_out_due()
    assert Conversion.objects.get().reason == Reason.CONFIG_DISABLED


def test_a_delivery_that_waits_is_sent_after_its_parameter_was_removed(sandbox: Sandbox, game: Game) -> None:
    config = postback(game, "irclickid")
    clicked(game, "irclickid")
    fan_out.fan_out_due()
    PostbackConfig.objects.update(click_parameters=["tblci"])
    sending.drain(network="custom", max_in_flight=1)
    assert states() == {config.pixel_id: ("delivered", "")}


def test_the_audit_balances_after_the_parameters_were_changed(sandbox: Sandbox, game: Game) -> None:
    config = postback(game, "irclickid")
    factories.config(game)
    clicked(game, "irclickid")
    fan_out.fan_out_due()
    sending.drain(network="custom", max_in_flight=1)
    config.refresh_from_db()
    config.click_parameters = ["tblci"]
    versions.save(config=config, change="Credential rotated", set_by=None)
    clicked(game, "irclickid")
    clicked(game, "tblci")
    fan_out.fan_out_due()
    report = audit.run(game=game)
    assert [(row.network, row.eligible) for row in report.rows] == [("custom", 2)]
    assert [name for name in report.violations if name == "balance"] == []


# Saved settings ------------------------------------------------------------------------------------


def test_a_change_of_the_credential_changes_the_parameters(game: Game) -> None:
    config = postback(game, "irclickid")
    check = CredentialCheck(
        game=game,
        network="custom",
        purpose=Purpose.SAVE,
        config=config,
        config_version=1,
        pixel_id=config.pixel_id,
        triggers=config.triggers,
        enabled=True,
    )
    check.save()
    versions.apply(check=check, credential={**ACCOUNTS.credential, "click_parameters": "tblci, dicbo"})
    config.refresh_from_db()
    assert config.click_parameters == ["tblci", "dicbo"]
    assert config.versions.get(number=2).click_parameters == ["tblci", "dicbo"]


# Pages ---------------------------------------------------------------------------------------------


def counted(game: Game, network: str) -> dict[str, int]:
    filters = conversion_status.ConversionFilter(game=game, since=timezone.now() - timedelta(days=1), network=network)
    found: dict[str, int] = {}
    for status in conversion_status.with_status(filters).values_list("status", flat=True):
        assert conversion_status.selected(filters, status).count() >= 1
        found[status] = found.get(status, 0) + 1
    return found


def test_the_funnel_of_custom_urls_counts_the_clicks_that_its_postbacks_name(sandbox: Sandbox, game: Game) -> None:
    postback(game, "irclickid")
    for parameter in ("irclickid", "irclickid", "msclkid"):
        clicked(game, parameter)
    clicked(game, "ttclid", network="tiktok")
    fan_out.fan_out_due()
    sending.drain(network="custom", max_in_flight=1)
    assert counted(game, "custom") == {"delivered": 2, "other_click": 2}
    assert counted(game, "tiktok") == {"other_network": 1, "other_click": 3}


def test_a_copy_for_a_bi_tool_changes_no_figure_of_the_network(sandbox: Sandbox, game: Game) -> None:
    factories.config(game)
    postback(game, "*")
    clicked(game, "ttclid", network="tiktok")
    fan_out.fan_out_due()
    sending.drain(network="tiktok", max_in_flight=1)
    assert (counted(game, "tiktok"), counted(game, "custom")) == ({"delivered": 1}, {"waiting": 1})
    assert (
        conversion_status.filtered(
            conversion_status.ConversionFilter(game=game, since=timezone.now() - timedelta(days=1))
        ).count()
        == 1
    )


def test_a_dry_run_and_the_preview_choose_by_the_parameters(game: Game) -> None:
    config = postback(game, "irclickid")
    first, _ = clicked(game, "irclickid"), clicked(game, "msclkid")
    run = dry_run.run(proposed=config, current=None)
    assert (run.considered, run.sent, [(row.reason, row.count) for row in run.reasons]) == (
        2,
        1,
        [(Reason.OTHER_NETWORK, 1)],
    )
    assert preview.recent_conversions(game, "custom", [config]) == [first]


def test_a_proposed_parameter_is_tried_before_it_is_saved(game: Game, marketer: Client) -> None:
    config = postback(game, "irclickid")
    clicked(game, "msclkid")
    parts = {f"credential_{name}": value for name, value in ACCOUNTS.credential.items() if name != "token"}
    posted = {**parts, "pixel_id": config.pixel_id, "triggers": ["purchase"], "credential_click_parameters": "msclkid"}
    html = marketer.post(f"/g/{game.slug}/integrations/custom/{config.pk}/dry-run/", posted).content.decode()
    assert Delivery.objects.count() == 0
    assert "1" in html
    proposed = PostbackConfig(game=game, network="custom", triggers=["purchase"], click_parameters=["msclkid"])
    assert dry_run.run(proposed=proposed, current=config).change == 1


def test_an_event_from_before_the_parameter_was_named_has_no_click(game: Game, key: NewKey) -> None:
    digest(key, page("a-1", "https://mygame.com/?my_click=click-1", eventTimestamp=ago(minutes=9)))
    postback(game, "my_click")
    digest(key, purchase("ada", anonymousId="a-1"))
    fan_out.fan_out_due()
    assert (Conversion.objects.get().reason, Delivery.objects.count()) == ("no_click", 0)
