"""Adds the sum of all ads to the figures by day, as those by quarter hour have it (advert_id 0)."""

from django.db import migrations

ADD = """
INSERT INTO postbacks_advertday (game_id, day, advert_id, trigger, currency, number, players, sent, accepted, value)
SELECT game_id, day, 0, trigger, currency, sum(number), sum(players), sum(sent), sum(accepted), sum(value)
FROM postbacks_advertday WHERE advert_id <> 0 GROUP BY game_id, day, trigger, currency
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0039_no_counts_of_deliveries")]
    operations = [migrations.RunSQL(ADD, "DELETE FROM postbacks_advertday WHERE advert_id = 0")]
