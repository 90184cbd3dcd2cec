"""The settings of a game's reports: the time zone, the reporting currency and its exchange rates.

As in audience/games/game_settings.py, `seen` is the version that the editor saw, and a change leaves one entry in the
audit log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from auditlog.context import disable_auditlog
from auditlog.models import LogEntry
from django.db import transaction

from audience.accounts.audit_log import record
from audience.digest import money
from audience.games.game_settings import SettingsChanged, lock, version_of
from audience.models import ExchangeRate, Game
from audience.wording.time_zones import find_zone
from postbacks.reporting.campaigns import refresh

# Of a rate that is not stored, in the audit log.
NO_RATE = "none"


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """`rates`: {currency: its worth in the reporting currency}, without that itself."""

    time_zone: str
    reporting_currency: str
    rates: Mapping[str, Decimal]

    @property
    def version(self) -> str:
        return version_of(self.time_zone, self.reporting_currency, rates_text(self.rates))

    @property
    def sentence(self) -> str:
        """The settings as the end of a sentence about what they are now."""
        rates = rates_text(self.rates, separator=", ")
        return (
            f"the time zone is now {self.time_zone}, the reporting currency {self.reporting_currency}, "
            f"and {f'the exchange rates are {rates}' if rates else 'there are no exchange rates'}."
        )


def rates_text(rates: Mapping[str, Decimal], *, separator: str = "\n") -> str:
    """Return "EUR 1.08", one rate a line by default."""
    return separator.join(f"{currency} {rate.normalize():f}" for currency, rate in sorted(rates.items()))


def settings_of(game: Game) -> ReportSettings:
    rates = dict(ExchangeRate.objects.filter(game=game).values_list("currency", "rate"))
    return ReportSettings(game.time_zone, game.reporting_currency, rates)


@transaction.atomic
def set_report_settings(
    *, game: Game, time_zone: str, reporting_currency: str, rates: Mapping[str, Decimal], seen: str = ""
) -> None:
    """Set all of them; currencies that `rates` does not name have no rate afterwards.

    In another time zone the days of all figures are computed again. Raises SettingsChanged, and ValueError for an
    unknown time zone or currency.
    """
    if find_zone(time_zone) is None or money.digits_of(reporting_currency) is None:
        raise ValueError("There is no such time zone or currency.")
    _change(game, ReportSettings(time_zone, reporting_currency, dict(rates)), _before(game, seen))


@transaction.atomic
def add_rates(*, game: Game, rates: Mapping[str, Decimal], seen: str = "") -> None:
    """Set the rates of these currencies; those of others stay. Raises SettingsChanged."""
    before = _before(game, seen)
    merged = {**before.rates, **rates}
    _change(game, ReportSettings(before.time_zone, before.reporting_currency, merged), before)


def _before(game: Game, seen: str) -> ReportSettings:
    """Return the current settings, locked. Raises SettingsChanged."""
    lock(game)
    before = settings_of(game)
    if seen and seen != before.version:
        raise SettingsChanged(before.sentence)
    return before


def _change(game: Game, after: ReportSettings, before: ReportSettings) -> None:
    changes = _changes(before, after)
    if not changes:
        return
    if after.time_zone != before.time_zone:
        refresh.mark_again(game=game)
    game.time_zone, game.reporting_currency = after.time_zone, after.reporting_currency
    # One entry for all, instead of one for each rate.
    with disable_auditlog():
        game.save(update_fields=["time_zone", "reporting_currency"])
        ExchangeRate.objects.filter(game=game).exclude(currency__in=after.rates).delete()
        ExchangeRate.objects.bulk_create(
            [ExchangeRate(game=game, currency=currency, rate=rate) for currency, rate in after.rates.items()],
            update_conflicts=True,
            unique_fields=["game", "currency"],
            update_fields=["rate"],
        )
    record(game=game, subject=game, action=LogEntry.Action.UPDATE, changes=changes)


def _changes(before: ReportSettings, after: ReportSettings) -> dict[str, tuple[str, str]]:
    """Return {field: (before, after)} of what differs; of the rates only those that do."""
    changes = {
        name: (getattr(before, name), getattr(after, name))
        for name in ("time_zone", "reporting_currency")
        if getattr(before, name) != getattr(after, name)
    }
    codes = sorted({*before.rates, *after.rates})
    changed = [code for code in codes if before.rates.get(code) != after.rates.get(code)]
    if changed:
        changes["exchange_rates"] = (_stated(before.rates, changed), _stated(after.rates, changed))
    return changes


def _stated(rates: Mapping[str, Decimal], codes: list[str]) -> str:
    return ", ".join(f"{code} {f'{rates[code].normalize():f}' if code in rates else NO_RATE}" for code in codes)
