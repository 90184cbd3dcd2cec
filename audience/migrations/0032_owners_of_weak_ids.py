"""Who owns an anonymous or device id, and when. Persons stay as they are."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audience', '0031_confirmations_that_fail'),
    ]

    operations = [
        migrations.AddField(
            model_name='identity',
            name='named_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='identity',
            name='owners',
            field=models.CharField(blank=True, choices=[('', 'Nobody'), ('other', 'Nobody; another id tells'), ('one', 'One player'), ('several', 'Several players'), ('crowd', 'Too many players to tell')], db_default='', default='', max_length=7),
        ),
        migrations.AlterField(
            model_name='conversion',
            name='reason',
            field=models.CharField(blank=True, choices=[('no_click', 'No ad click is known for this player'), ('other_network', 'The ad click came from a network without a postback here'), ('outside_window', 'The ad click is older than the attribution window'), ('consent', 'The player did not consent'), ('no_match_key', 'Nothing the network could match the player by'), ('config_disabled', 'The postback was switched off for this event'), ('config_deleted', 'The postback was deleted'), ('test_traffic', 'Test traffic is never sent'), ('filtered', "The event does not meet the goal's condition"), ('not_from_server', 'The goal counts events from a server key only, and this came with another'), ('repeat_launch', "Only a player's first launch counts"), ('repeat', 'The goal counts once per player, and this was not the first'), ('too_old', 'Too old for the network to accept'), ('shared_id', 'Nothing but an id of many players tells whose it is'), ('erased', "The player's data was erased")], max_length=16),
        ),
        migrations.AlterField(
            model_name='identity',
            name='person',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='identities', to='audience.person'),
        ),
        migrations.CreateModel(
            name='Ownership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('message_id', models.CharField(blank=True, help_text='Of an alias: orders those of one moment.', max_length=256)),
                ('source', models.CharField(choices=[('event', 'Events'), ('alias', 'An alias'), ('typed', 'An alias with a type')], default='event', max_length=5)),
                ('game', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='audience.game')),
                ('identity', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='ownerships', to='audience.identity')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='audience.identity')),
            ],
            options={
                'indexes': [models.Index(fields=['identity', 'first_at'], name='ownership_of_identity')],
            },
        ),
    ]
