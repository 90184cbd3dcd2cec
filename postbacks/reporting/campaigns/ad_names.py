"""The names under which Campaigns counts a click."""

from django.db import connection

from audience.models import Touch

NAMES = """
SELECT network, audience_campaign_name(campaign), audience_ad_group(campaign), audience_ad(campaign)
FROM audience_touch WHERE id = %s
"""


def names_of(touch: Touch) -> tuple[str, ...]:
    """Return the network, campaign, ad group and ad of a click, up to the last one that its link names."""
    with connection.cursor() as cursor:
        cursor.execute(NAMES, [touch.pk])
        names = list(cursor.fetchone() or [touch.network])
    while len(names) > 1 and not names[-1]:
        names.pop()
    return tuple(names)
