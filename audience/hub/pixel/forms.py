"""The choices of the page that writes the code of the web pixel."""

import re
from typing import Any

from django import forms

from audience.hub.toolkit.confirmation import NO_SUGGESTIONS
from audience.intake.requests.restrictions import allows_origin
from audience.models import ApiKey, Game, KeyKind

# The value of `consent` in the snippet -> its label.
SOURCES = {
    "google": "Google Consent Mode",
    "tcf": "IAB TCF (Europe)",
    "gpp": "IAB GPP (United States)",
    "tcf+gpp": "IAB TCF and GPP",
    "google+gpp": "Google Consent Mode and IAB GPP",
    "wait": 'My page calls afterclick("consent", …)',
    "anonymous": "Without a banner: click IDs only",
    "full": "Without a banner: everything",
}
DEFAULT_CONSENT = "google"
PATH = re.compile(r"(/[\w-]+)+")
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:\d{1,5})?")
BANNER = re.compile(r"[\w.+ -]*")


class PixelForm(forms.Form):
    """The choices as parameters of the page's URL."""

    key = forms.ModelChoiceField(
        label="Key", queryset=ApiKey.objects.none(), empty_label=None, help_text="Only publishable keys are listed."
    )
    consent = forms.ChoiceField(
        label="Consent",
        choices=tuple(SOURCES.items()),
        help_text="Which consent banner the website has. Nothing is sent or stored before it states a choice.",
    )
    banner = forms.CharField(
        label="Banner version",
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={**NO_SUGGESTIONS, "placeholder": "2026-11"}),
        help_text="Stored with every choice, to show later which text the visitor saw.",
    )
    path = forms.CharField(
        label="Path on your website",
        max_length=60,
        required=False,
        widget=forms.TextInput(attrs={**NO_SUGGESTIONS, "placeholder": "/e"}),
        help_text="Under which your website passes requests on to this server. Recommended: visitors then keep their "
        "ID for 400 days, in Safari too. Without it, Safari deletes the ID after 7 days.",
    )
    domains = forms.CharField(
        label="Other domains",
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs={**NO_SUGGESTIONS, "placeholder": "shop.example, www.game.example"}),
        help_text="Your other websites with the pixel, to which visitors take their ID by a link. Requires a path, and "
        "the origins of all websites in the restrictions of the key.",
    )
    no_pages = forms.BooleanField(label="No automatic page views", required=False)
    no_links = forms.BooleanField(label="No outbound links", required=False)
    hash = forms.BooleanField(label="Pages differ by what follows # in the URL", required=False)

    def __init__(self, data: Any, *, game: Game) -> None:
        super().__init__(data)
        keys = ApiKey.objects.live().filter(game=game, kind=KeyKind.PUBLISHABLE).order_by("environment", "name", "pk")
        self.fields["key"].queryset = keys  # type: ignore[attr-defined]

    def clean_path(self) -> str:
        path: str = self.cleaned_data["path"].rstrip("/")
        if path and not PATH.fullmatch(path):
            raise forms.ValidationError("Enter a path such as /e: letters, digits and hyphens, with a slash in front.")
        return path

    def clean_domains(self) -> str:
        """Return the hosts in lower case, separated by commas."""
        hosts = [host.strip().lower() for host in self.cleaned_data["domains"].split(",") if host.strip()]
        if not all(map(HOST.fullmatch, hosts)):
            raise forms.ValidationError("Enter host names without https://, separated by commas.")
        return ",".join(dict.fromkeys(hosts))

    def clean_banner(self) -> str:
        banner: str = self.cleaned_data["banner"]
        if not BANNER.fullmatch(banner):
            raise forms.ValidationError("Use letters, digits, dots and hyphens.")
        return banner

    def clean(self) -> dict[str, Any]:
        """Refuse other domains to which the server would not redirect (audience/pixel/handoff.py)."""
        data: dict[str, Any] = self.cleaned_data
        hosts, key = data.get("domains", "").split(","), data.get("key")
        if data.get("domains") and not data.get("path"):
            self.add_error("domains", "Enter a path too. Only a website with a path can pass its visitors' ID on.")
        elif data.get("domains") and key:
            missing = ", ".join(host for host in hosts if not _is_listed(host, key))
            if missing:
                self.add_error("domains", f"Add {missing} to the origins in the restrictions of the key first.")
        return data

    def config(self) -> dict[str, str]:
        """Return the configuration of a valid form: see Config in static/pixel/site.js."""
        data = self.cleaned_data
        config = {"key": data["key"].value, "consent": data["consent"], "banner": data["banner"]}
        config |= {"pages": "0" if data["no_pages"] else "", "links": "0" if data["no_links"] else ""}
        config |= {"hash": "1" if data["hash"] else "", "domains": data["domains"]}
        return {name: value for name, value in config.items() if value}


def _is_listed(host: str, key: ApiKey) -> bool:
    """Whether the key is restricted to origins of which one has this host."""
    return bool(key.allowed_origins) and any(allows_origin(key, f"{scheme}://{host}") for scheme in ("https", "http"))
