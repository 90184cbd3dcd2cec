"""Accounts that an unconfirmed address was given through allauth's page get the one back that their invitation proved.

The page let anybody make any address the primary one of their account. Such a row is primary and not verified. Rows of
that table identify nobody any more, and stay.
"""

from django.db import migrations

RESTORE = """
UPDATE auth_user AS account
   SET email = account.username
  FROM account_emailaddress AS given
 WHERE given.user_id = account.id AND given."primary" AND NOT given.verified
   AND lower(given.email) = lower(account.email) AND lower(account.email) <> lower(account.username)
   AND EXISTS (SELECT 1 FROM audience_invitation invitation
                WHERE invitation.email = account.username AND invitation.accepted_at IS NOT NULL)
   AND NOT EXISTS (SELECT 1 FROM auth_user other
                    WHERE other.id <> account.id AND lower(other.email) = lower(account.username))
"""


class Migration(migrations.Migration):
    dependencies = [
        ("audience", "0021_address_changes"),
        ("account", "0009_emailaddress_unique_primary_email"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]
    operations = [migrations.RunSQL(RESTORE, migrations.RunSQL.noop)]
