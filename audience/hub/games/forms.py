"""The form of a new game."""

from typing import Any

from django import forms
from django.utils.text import slugify

from audience.models import Game


class GameForm(forms.ModelForm[Game]):
    """A name, and a slug that is derived from it if left blank."""

    class Meta:
        model = Game
        fields = ["name", "slug"]
        labels = {"slug": "Address"}
        help_texts = {
            "name": "As your players know it.",
            "slug": "Small letters, digits and hyphens: it stands in the address of every page, /g/<address>/. "
            "Left empty, it is made from the name.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"].required = False

    def clean_slug(self) -> str:
        longest = Game._meta.get_field("slug").max_length
        slug: str = self.cleaned_data["slug"].lower() or slugify(self.cleaned_data.get("name", ""))[:longest]
        if not slug:
            raise forms.ValidationError("Give the game an address of letters and digits.")
        if Game.objects.filter(slug=slug).exists():
            raise forms.ValidationError("Another game has this address. Choose another one.")
        return slug
