"""What the settings of a postback must satisfy before any network is asked, and how their secrets are spoken of."""

from collections.abc import Sequence

from audience.models import Game, Trigger
from postbacks.models import PostbackConfig

DUPLICATE = "This game already has a postback for this pixel: edit that one."
UNREADABLE = "The stored credential cannot be read: enter it again."
DELETED = "This postback was deleted in the meantime: nothing was saved."


class SettingsRefused(Exception):
    """Why settings cannot be applied, as a sentence for the form."""


def refuse_bad(triggers: Sequence[str]) -> None:
    """SettingsRefused unless there is at least one trigger and each is one of ours."""
    if not triggers or not set(triggers) <= set(Trigger.values):
        raise SettingsRefused("Select at least one trigger event.")


def refuse_duplicate(*, game: Game, network: str, pixel_id: str, besides: PostbackConfig | None) -> None:
    """SettingsRefused when another kept postback of the game has this pixel."""
    same = PostbackConfig.objects.kept().filter(game=game, network=network, pixel_id=pixel_id)
    if besides is not None:
        same = same.exclude(pk=besides.pk)
    if same.exists():
        raise SettingsRefused(DUPLICATE)


def token_to_check(credential: str, config: PostbackConfig | None) -> str:
    """The credential given, else the stored one of the config being changed. SettingsRefused without either."""
    if credential:
        return credential
    if config is None:
        raise SettingsRefused("Enter the credential.")
    if not config.credential.get("token"):
        raise SettingsRefused(UNREADABLE)
    return config.credential["token"]


def masked(message: str, *secrets: str) -> str:
    """`message` without any of `secrets`, and without the NUL that PostgreSQL refuses. http.post has done as much for
    the network's answer, except for short codes; this is the last door before the database."""
    for secret in filter(None, secrets):
        message = message.replace(secret, "[hidden]")
    return message.replace("\x00", " ")


def shown(credential: str) -> str:
    """What the audit log says of a credential, given the text of the mapping that holds it."""
    return "none" if credential in ("", "{}", "SecretDict()", "None") else "•••• set"
