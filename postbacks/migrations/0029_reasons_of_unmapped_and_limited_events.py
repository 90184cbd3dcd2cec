"""Two more reasons not to send: the goal has no object id, or the use of the data is limited."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('postbacks', '0028_waits_that_networks_ask_for'),
    ]

    operations = [
        migrations.AlterField(
            model_name='delivery',
            name='reason',
            field=models.CharField(blank=True, choices=[('no_click', 'No ad click is known for this player'), ('other_network', 'The ad click came from a network without a postback here'), ('outside_window', 'The ad click is older than the attribution window'), ('consent', 'The player did not consent'), ('limited_use', "The use of the player's data is limited, which the network does not offer"), ('no_match_key', 'Nothing the network could match the player by'), ('config_disabled', 'The postback was switched off for this event'), ('config_deleted', 'The postback was deleted'), ('test_traffic', 'Test traffic is never sent'), ('filtered', "The event does not meet the goal's condition"), ('not_from_server', 'The goal counts events from a server key only, and this came with another'), ('not_mapped', "The goal has no ID of the network's event"), ('repeat_launch', "Only a player's first launch counts"), ('refund', 'A negative amount is a refund, not a purchase'), ('repeat', 'The goal counts once per player, and this was not the first'), ('repeat_order', 'Another event of the same order counts'), ('no_value', 'The network needs a value with this event, and it has none that can be sent'), ('too_old', 'Too old for the network to accept'), ('shared_id', 'Nothing but an id of many players tells whose it is'), ('erased', "The player's data was erased")], max_length=16),
        ),
    ]
