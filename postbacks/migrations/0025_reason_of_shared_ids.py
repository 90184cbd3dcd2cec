"""One more reason not to send: only an id of many players tells of the conversion."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('postbacks', '0024_longer_request_ids'),
    ]

    operations = [
        migrations.AlterField(
            model_name='delivery',
            name='reason',
            field=models.CharField(blank=True, choices=[('no_click', 'No ad click is known for this player'), ('other_network', 'The ad click came from a network without a postback here'), ('outside_window', 'The ad click is older than the attribution window'), ('consent', 'The player did not consent'), ('no_match_key', 'Nothing the network could match the player by'), ('config_disabled', 'The postback was switched off for this event'), ('config_deleted', 'The postback was deleted'), ('test_traffic', 'Test traffic is never sent'), ('filtered', "The event does not meet the goal's condition"), ('not_from_server', 'The goal counts events from a server key only, and this came with another'), ('repeat_launch', "Only a player's first launch counts"), ('repeat', 'The goal counts once per player, and this was not the first'), ('too_old', 'Too old for the network to accept'), ('shared_id', 'Nothing but an id of many players tells whose it is'), ('erased', "The player's data was erased")], max_length=16),
        ),
    ]
