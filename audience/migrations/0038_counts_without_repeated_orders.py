"""Counts of conversions leave out refunds and further purchases of an order. No row of earlier versions is either."""

from django.db import migrations

COUNT = """
SELECT game_id, minute, coalesce((SELECT network FROM audience_touch touch WHERE touch.id = moved.touch_id), ''),
  currency, sum(number), sum(valued), sum(value)
FROM (
  SELECT game_id, minute, touch_id, currency, sum(sign) AS number, sum(sign * (value IS NOT NULL)::integer) AS valued,
    coalesce(sum(sign * value), 0) AS value
  FROM ({rows}) seen GROUP BY game_id, minute, touch_id, currency
) moved
WHERE number <> 0 OR valued <> 0 OR value <> 0
GROUP BY 1, 2, 3, 4
"""
COUNTED = """
SELECT {sign} AS sign, game_id, date_bin('1 minute', event_at, 'epoch'::timestamptz) AS minute, touch_id, currency, value
FROM {rows} WHERE NOT test AND reason NOT IN {uncounted}
"""
FUNCTION = """
CREATE OR REPLACE FUNCTION audience_count_conversions() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO audience_conversiontail {new};
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO audience_conversiontail {both};
  ELSE
    INSERT INTO audience_conversiontail {old};
  END IF;
  RETURN NULL;
END $$
"""


def function(uncounted: str) -> str:
    old = COUNTED.format(sign=-1, rows="old_rows", uncounted=uncounted)
    new = COUNTED.format(sign=1, rows="new_rows", uncounted=uncounted)
    return FUNCTION.format(
        new=COUNT.format(rows=new), both=COUNT.format(rows=f"{old} UNION ALL {new}"), old=COUNT.format(rows=old)
    )


class Migration(migrations.Migration):
    dependencies = [("audience", "0037_orders_and_values")]
    operations = [
        migrations.RunSQL(
            function("('repeat_launch', 'refund', 'erased') AND NOT repeats_order"),
            function("('repeat_launch', 'erased')"),
        )
    ]
