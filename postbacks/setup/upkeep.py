"""What must not be forgotten about credentials: lost checks, open suspicions, the daily question, old credentials."""

from datetime import timedelta

from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When

from audience import clock
from postbacks.models import CheckState, CredentialCheck, Delivery, DeliveryState, PostbackConfig, Purpose
from postbacks.sending import abandoned
from postbacks.setup import checks, hold
from postbacks.setup.credentials import run_check

LOST_AFTER = timedelta(seconds=15)  # the task of a check still untouched by then is taken for lost
AT_ONCE = 20
SUSPICION_LASTS = timedelta(minutes=1)
COULD_NOT_VERIFY = "We could not verify this in time: {}"
# While the network cannot be reached a suspicion is neither confirmed nor cleared: ask again, this long after the last.
ASK_AGAIN_AFTER = timedelta(seconds=30)
DAILY = timedelta(hours=24)
# A config on hold may have been put right at the network's end (a permission given back).
HELD_EVERY = timedelta(hours=1)


def sweep() -> None:
    """Everything below, once; a beat task. May run twice at the same moment."""
    run_lost_checks()
    ask_about_suspects()
    ask_daily()
    tidy()


def run_lost_checks() -> None:
    """Run the checks whose task was lost, and give up on those older than five minutes.

    One that was asked with a test code sends nothing and says so: the code was in the task alone.
    """
    now = clock.now()
    pending = CredentialCheck.objects.pending()
    given_up = {"state": CheckState.UNVERIFIED, "credential": {}, "message": _could_not_verify(), "finished_at": now}
    pending.filter(created_at__lt=now - checks.GIVE_UP_AFTER).update(**given_up)
    # Nothing is sent while one is out: its worker may have died in mid-call.
    suspicions = pending.filter(purpose=Purpose.SUSPICION, credential="")
    suspicions.filter(created_at__lt=now - SUSPICION_LASTS).update(**given_up)
    lost = pending.filter(created_at__lt=now - LOST_AFTER).exclude(credential="").order_by("created_at")
    for check_id in list(lost.values_list("pk", flat=True)[:AT_ONCE]):
        run_check(check_id=str(check_id))


def _could_not_verify() -> Case:
    """The sentence for each check, by its purpose."""
    ends = checks.UNDECIDED.items()
    return Case(*(When(purpose=purpose, then=Value(COULD_NOT_VERIFY.format(end))) for purpose, end in ends))


def ask_about_suspects() -> None:
    """Ask again about suspected configs that nobody is asking about."""
    suspects = PostbackConfig.objects.kept().filter(suspected_at__isnull=False, held_at=None)
    for config in _unasked(suspects, ASK_AGAIN_AFTER):
        checks.ask(config=config, purpose=Purpose.SUSPICION)


def ask_daily() -> None:
    """Ask about every enabled config once a day, and once an hour about those on hold."""
    now = clock.now()
    kept = PostbackConfig.objects.kept().filter(enabled=True, suspected_at=None)
    quiet = kept.filter(held_at=None, validated_at__lt=now - DAILY).filter(
        Q(checked_at=None) | Q(checked_at__lt=now - DAILY)
    )
    for config in _unasked(quiet, HELD_EVERY):
        checks.ask(config=config, purpose=Purpose.DAILY)
    for config in _unasked(kept.filter(held_at__isnull=False), HELD_EVERY):
        if config.credential.get("token"):
            checks.ask(config=config, purpose=Purpose.RELEASE)


def _unasked(configs: QuerySet[PostbackConfig], pause: timedelta) -> list[PostbackConfig]:
    """Those without a check on its way or ended within the pause."""
    about = CredentialCheck.objects.filter(config=OuterRef("pk"))
    recent = about.filter(Q(state=CheckState.PENDING) | Q(created_at__gt=clock.now() - pause))
    return list(configs.filter(~Exists(recent)).order_by("checked_at")[:AT_ONCE])


def tidy() -> None:
    """Hold what slipped past a hold, end what has outlived its deadline there, forget credentials past their day."""
    plain = PostbackConfig.objects.defer("credential", "previous_credential")
    for config in plain.filter(held_at__isnull=False):
        hold.put_away(config=config)
        hold.expire(config=config)
    stranded = Delivery.objects.filter(config=OuterRef("pk"), state=DeliveryState.HELD)
    for config in plain.filter(Exists(stranded), held_at=None):
        hold.free(config=config)
    abandoned.close_forgotten()
    outdated = PostbackConfig.objects.filter(previous_until__lt=clock.now())
    outdated.update(previous_credential={}, previous_until=None)
