"""What each figure of campaigns counts, as SQL: the figures and the lists behind them read the same rows.

`CLICKS` and `CONVERSIONS` are the clicks and conversions of the quarter hour that begins at `quarter.starts_at`, for a
LATERAL join. Their columns `network`, `campaign`, `ad_group` and `ad` name the ad. OFFSET 0 keeps PostgreSQL from
reading all deliveries of all games into a hash.
"""

# Clicks: paid clicks by their time. A player counts at the first click, whatever ad it was of.
CLICKS = """
SELECT touch.id, touch.person_id, clicked_at, network, audience_campaign_name(campaign) AS campaign,
  audience_ad_group(campaign) AS ad_group, audience_ad(campaign) AS ad,
  NOT EXISTS (
    SELECT FROM audience_touch AS earlier WHERE earlier.person_id = touch.person_id
      AND (earlier.clicked_at, earlier.network, earlier.click_key) < (touch.clicked_at, touch.network, touch.click_key)
  ) AS is_first
FROM audience_touch AS touch
WHERE touch.game_id = %(game)s
  AND clicked_at >= quarter.starts_at AND clicked_at < quarter.starts_at + interval '15 minutes'
OFFSET 0
"""
# Conversions: those that totals count, by the time of the event, at the ad of the click that they are attributed to. A
# player counts at the first of them with the trigger: the player's first purchase makes a payer.
CONVERSIONS = """
SELECT conversion.id, trigger, event_at, currency, value, touch.network, audience_campaign_name(campaign) AS campaign,
  audience_ad_group(campaign) AS ad_group, audience_ad(campaign) AS ad,
  NOT EXISTS (
    SELECT FROM audience_conversion AS earlier
    WHERE earlier.person_id = conversion.person_id AND earlier.trigger = conversion.trigger
      AND earlier.touch_id IS NOT NULL AND audience_is_counted(earlier.test, earlier.repeats_order, earlier.reason)
      AND (earlier.event_at, earlier.id) < (conversion.event_at, conversion.id)
  ) AS is_first,
  EXISTS (
    SELECT FROM postbacks_delivery AS delivery
    WHERE delivery.conversion_id = conversion.id AND attempts_made > 0 OFFSET 0
  ) AS is_sent,
  EXISTS (
    SELECT FROM postbacks_delivery AS delivery
    WHERE delivery.conversion_id = conversion.id AND state = 'delivered' OFFSET 0
  ) AS is_accepted
FROM audience_conversion AS conversion JOIN audience_touch AS touch ON touch.id = conversion.touch_id
WHERE conversion.game_id = %(game)s
  AND event_at >= quarter.starts_at AND event_at < quarter.starts_at + interval '15 minutes'
  AND audience_is_counted(conversion.test, conversion.repeats_order, conversion.reason)
OFFSET 0
"""
# How many days after that of the first click revenue is reported; for retention: active_quarters.RETENTION_DAYS.
REVENUE_DAYS = (0, 1, 7, 30, 90)
# Whether a player was active `days` after a day, in the time zone `zone`. The range, for the index, is an hour wider
# than that day, since PostgreSQL takes the second of two midnights.
IS_ACTIVE = """EXISTS (
    SELECT FROM audience_activequarter AS active WHERE active.game_id = %(game)s AND active.person_id = {person}
      AND active.starts_at >= ({day} + {days})::timestamp AT TIME ZONE %(zone)s - interval '1 hour'
      AND active.starts_at < ({day} + {days} + 1)::timestamp AT TIME ZONE %(zone)s
      AND (active.starts_at AT TIME ZONE %(zone)s)::date = {day} + {days}
  )"""
