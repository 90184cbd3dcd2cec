"""The statements that compute figures (refresh.py).

Parameters: `game`, `zone`, `quarters`, and `days` in ISO form with the moments at which they start and end. Python
computes these: where the clocks go back over midnight, the day begins at the first of two midnights, and PostgreSQL
takes the second.
"""

from audience.digest.active_quarters import RETENTION_DAYS
from postbacks.reporting.campaigns.definitions import CLICKS, CONVERSIONS, IS_ACTIVE, REVENUE_DAYS

NAMES = "network, campaign, ad_group, ad"
QUARTERS = "unnest(%(quarters)s::timestamptz[]) AS quarter (starts_at)"
DAYS = """unnest(%(days)s::date[], %(day_starts)s::timestamptz[], %(day_ends)s::timestamptz[])
  AS local (day, first, last)"""
ADD_ADVERTS = f"""
INSERT INTO postbacks_advert (game_id, {NAMES})
SELECT DISTINCT %(game)s, {NAMES} FROM {QUARTERS} CROSS JOIN LATERAL ({{rows}}) AS counted
ORDER BY {NAMES} ON CONFLICT DO NOTHING
"""
FIGURES = "number, players, sent, accepted, value"
# A subquery instead of a join: PostgreSQL would count the rows again for each ad.
ADVERT_ID = """(
    SELECT id FROM postbacks_advert AS advert
    WHERE advert.game_id = %(game)s AND (advert.network, advert.campaign, advert.ad_group, advert.ad)
      = (counted.network, counted.campaign, counted.ad_group, counted.ad)
  )"""
SUMS = "sum(number), sum(players), sum(sent), sum(accepted), sum(value)"

CLEAR_QUARTERS = "DELETE FROM {table} WHERE game_id = %(game)s AND starts_at = ANY(%(quarters)s)"
CLEAR_DAYS = "DELETE FROM {table} WHERE game_id = %(game)s AND day = ANY(%(days)s::date[])"

# The IDs of campaigns beside their names, for costs.
ADD_CAMPAIGN_IDS = f"""
INSERT INTO postbacks_campaignid (game_id, network, campaign_id, campaign)
SELECT DISTINCT %(game)s, network, campaign_id, campaign FROM {QUARTERS} CROSS JOIN LATERAL (
  SELECT network, audience_campaign_id(campaign) AS campaign_id, audience_campaign_name(campaign) AS campaign
  FROM audience_touch AS touch WHERE touch.game_id = %(game)s
    AND clicked_at >= quarter.starts_at AND clicked_at < quarter.starts_at + interval '15 minutes'
  OFFSET 0
) AS click WHERE campaign_id <> campaign
ORDER BY network, campaign_id, campaign ON CONFLICT DO NOTHING
"""
COUNT_CLICKS = f"""
INSERT INTO postbacks_advertquarter (game_id, starts_at, advert_id, trigger, currency, {FIGURES})
SELECT %(game)s, starts_at, {ADVERT_ID}, '', '', count(*), count(*) FILTER (WHERE is_first), 0, 0, 0
FROM {QUARTERS} CROSS JOIN LATERAL ({CLICKS}) AS counted
GROUP BY starts_at, {NAMES}
"""
COUNT_CONVERSIONS = f"""
INSERT INTO postbacks_advertquarter (game_id, starts_at, advert_id, trigger, currency, {FIGURES})
SELECT %(game)s, starts_at, {ADVERT_ID}, trigger, currency, count(*), count(*) FILTER (WHERE is_first),
  count(*) FILTER (WHERE is_sent), count(*) FILTER (WHERE is_accepted), coalesce(sum(value), 0)
FROM {QUARTERS} CROSS JOIN LATERAL ({CONVERSIONS}) AS counted
GROUP BY starts_at, {NAMES}, trigger, currency
"""
SUM_ADVERTS = f"""
INSERT INTO postbacks_advertquarter (game_id, starts_at, advert_id, trigger, currency, {FIGURES})
SELECT game_id, starts_at, 0, trigger, currency, {SUMS} FROM postbacks_advertquarter
WHERE game_id = %(game)s AND starts_at = ANY(%(quarters)s) GROUP BY game_id, starts_at, trigger, currency
"""
SUM_DAYS = f"""
INSERT INTO postbacks_advertday (game_id, day, advert_id, trigger, currency, {FIGURES})
SELECT game_id, day, advert_id, trigger, currency, {SUMS}
FROM {DAYS} JOIN postbacks_advertquarter ON game_id = %(game)s AND starts_at >= first AND starts_at < last
GROUP BY game_id, day, advert_id, trigger, currency
"""
OF_CAMPAIGNS = (
    CLEAR_QUARTERS.format(table="postbacks_advertquarter"),
    ADD_ADVERTS.format(rows=CLICKS),
    ADD_ADVERTS.format(rows=CONVERSIONS),
    ADD_CAMPAIGN_IDS,
    COUNT_CLICKS,
    COUNT_CONVERSIONS,
    SUM_ADVERTS,
    CLEAR_DAYS.format(table="postbacks_advertday"),
    SUM_DAYS,
)

# Of the players whose first click was in a quarter hour, with the day of it.
FIRST_CLICKS = f"""
SELECT starts_at, counted.person_id, counted.clicked_at, {ADVERT_ID} AS advert_id,
  (counted.clicked_at AT TIME ZONE %(zone)s)::date AS day
FROM {QUARTERS} CROSS JOIN LATERAL ({CLICKS}) AS counted WHERE is_first
"""
COHORT = (*(f"active_{days}" for days in RETENTION_DAYS), *(f"revenue_{days}" for days in REVENUE_DAYS))
NO_REVENUE = ", ".join("0" for _ in REVENUE_DAYS)
NO_ACTIVITY = ", ".join("0" for _ in RETENTION_DAYS)
ACTIVE = ", ".join(
    f"count(*) FILTER (WHERE {IS_ACTIVE.format(person='first.person_id', day='first.day', days=days)})"
    for days in RETENTION_DAYS
)
COUNT_PLAYERS = f"""
INSERT INTO postbacks_cohortquarter (game_id, starts_at, advert_id, currency, players, {", ".join(COHORT)})
SELECT %(game)s, starts_at, advert_id, '', count(*), {ACTIVE}, {NO_REVENUE}
FROM ({FIRST_CLICKS}) AS first GROUP BY starts_at, advert_id
"""
REVENUE = ", ".join(f"coalesce(sum(value) FILTER (WHERE after <= {days}), 0)" for days in REVENUE_DAYS)
# All conversions of these players that totals count, whichever click they are attributed to.
SUM_REVENUE = f"""
INSERT INTO postbacks_cohortquarter (game_id, starts_at, advert_id, currency, players, {", ".join(COHORT)})
SELECT %(game)s, starts_at, advert_id, currency, 0, {NO_ACTIVITY}, {REVENUE}
FROM ({FIRST_CLICKS}) AS first CROSS JOIN LATERAL (
  SELECT currency, value, (event_at AT TIME ZONE %(zone)s)::date - first.day AS after
  FROM audience_conversion AS conversion
  WHERE conversion.game_id = %(game)s AND conversion.person_id = first.person_id AND event_at >= first.clicked_at
    AND value IS NOT NULL AND audience_is_counted(test, repeats_order, reason)
  OFFSET 0
) AS paid WHERE after <= {max(REVENUE_DAYS)} AND currency <> '' GROUP BY starts_at, advert_id, currency
"""
COHORT_SUMS = ", ".join(f"sum({column})" for column in ("players", *COHORT))
SUM_COHORT_DAYS = f"""
INSERT INTO postbacks_cohortday (game_id, day, advert_id, currency, players, {", ".join(COHORT)})
SELECT game_id, day, advert_id, currency, {COHORT_SUMS}
FROM {DAYS} JOIN postbacks_cohortquarter ON game_id = %(game)s AND starts_at >= first AND starts_at < last
GROUP BY game_id, day, advert_id, currency
"""
OF_COHORTS = (
    CLEAR_QUARTERS.format(table="postbacks_cohortquarter"),
    ADD_ADVERTS.format(rows=CLICKS),
    COUNT_PLAYERS,
    SUM_REVENUE,
    CLEAR_DAYS.format(table="postbacks_cohortday"),
    SUM_COHORT_DAYS,
)
