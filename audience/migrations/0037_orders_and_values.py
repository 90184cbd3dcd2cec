"""Orders, why an amount is not sent, and three more reasons not to send."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audience', '0036_prune_positions'),
    ]

    operations = [
        migrations.AddField(
            model_name='conversion',
            name='order_id',
            field=models.CharField(blank=True, db_default='', help_text='The order of a purchase.', max_length=256),
        ),
        migrations.AddField(
            model_name='conversion',
            name='repeats_order',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='conversion',
            name='value_problem',
            field=models.CharField(blank=True, choices=[('no_currency', 'no currency'), ('unknown_currency', 'a currency that is not in ISO 4217'), ('negative', 'a negative amount'), ('unreadable', 'an amount that cannot be read')], db_default='', max_length=16),
        ),
        migrations.AlterField(
            model_name='conversion',
            name='reason',
            field=models.CharField(blank=True, choices=[('no_click', 'No ad click is known for this player'), ('other_network', 'The ad click came from a network without a postback here'), ('outside_window', 'The ad click is older than the attribution window'), ('consent', 'The player did not consent'), ('no_match_key', 'Nothing the network could match the player by'), ('config_disabled', 'The postback was switched off for this event'), ('config_deleted', 'The postback was deleted'), ('test_traffic', 'Test traffic is never sent'), ('filtered', "The event does not meet the goal's condition"), ('not_from_server', 'The goal counts events from a server key only, and this came with another'), ('repeat_launch', "Only a player's first launch counts"), ('refund', 'A negative amount is a refund, not a purchase'), ('repeat', 'The goal counts once per player, and this was not the first'), ('repeat_order', 'Another event of the same order counts'), ('no_value', 'The network needs a value with this event, and it has none that can be sent'), ('too_old', 'Too old for the network to accept'), ('shared_id', 'Nothing but an id of many players tells whose it is'), ('erased', "The player's data was erased")], max_length=16),
        ),
        migrations.AddIndex(
            model_name='conversion',
            index=models.Index(condition=models.Q(('order_id', ''), _negated=True), fields=['person', 'order_id'], name='conversion_order'),
        ),
        migrations.AddIndex(
            model_name='conversion',
            index=models.Index(condition=models.Q(('value_problem', ''), _negated=True), fields=['game', 'event_at'], name='conversion_value_problem'),
        ),
    ]
