"""Marks the quarter hour of a conversion when a delivery of it was sent or accepted (audience 0045)."""

from django.db import migrations

MARK = """
INSERT INTO audience_changedquarter (game_id, kind, starts_at)
SELECT DISTINCT game_id, 'campaign', audience_quarter(event_at) FROM ({rows}) AS changed
"""
INSERTED = "SELECT game_id, event_at FROM new_rows WHERE attempts_made > 0 OR state = 'delivered'"
UPDATED = """
SELECT present.game_id, present.event_at FROM old_rows AS previous JOIN new_rows AS present USING (id)
WHERE (previous.attempts_made > 0, previous.state = 'delivered', previous.conversion_id)
  IS DISTINCT FROM (present.attempts_made > 0, present.state = 'delivered', present.conversion_id)
"""
TRIGGERS = f"""
CREATE FUNCTION postbacks_mark_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'INSERT' THEN
    {MARK.format(rows=INSERTED)};
  ELSE
    {MARK.format(rows=UPDATED)};
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER mark_new AFTER INSERT ON postbacks_delivery REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION postbacks_mark_deliveries();
CREATE TRIGGER mark_changed AFTER UPDATE ON postbacks_delivery REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION postbacks_mark_deliveries();
"""
UNDO = """
DROP TRIGGER mark_new ON postbacks_delivery;
DROP TRIGGER mark_changed ON postbacks_delivery;
DROP FUNCTION postbacks_mark_deliveries();
"""


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0035_campaigns")]
    operations = [migrations.RunSQL(TRIGGERS, UNDO)]
