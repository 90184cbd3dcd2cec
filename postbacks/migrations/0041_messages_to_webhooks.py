"""Webhooks: events, rotated secrets, the state of sending, and messages about conversions and erasures."""

import audience.database.clock
import django.contrib.postgres.fields
import django.db.models.deletion
import postbacks.models.fields
import postbacks.models.hooks
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audience', '0048_network_windows'),
        ('postbacks', '0040_days_of_all_ads'),
    ]

    operations = [
        migrations.AddField(
            model_name='alerthook',
            name='disabled_because',
            field=models.CharField(blank=True, db_default='', help_text='Why Afterclick disabled it; empty if a member did.', max_length=200),
        ),
        migrations.AddField(
            model_name='alerthook',
            name='dropped',
            field=models.PositiveBigIntegerField(db_default=0, default=0, help_text='Messages that were never received.'),
        ),
        migrations.AddField(
            model_name='alerthook',
            name='dropped_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='alerthook',
            name='events',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), db_default=models.Value(['alert.opened', 'alert.recovered'], django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), size=None)), default=postbacks.models.hooks.alert_events, size=None),
        ),
        migrations.AddField(
            model_name='alerthook',
            name='failures',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='alerthook',
            name='last_result',
            field=models.CharField(blank=True, db_default='', max_length=200),
        ),
        migrations.AddField(
            model_name='alerthook',
            name='last_result_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='alerthook',
            name='next_call_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='alerthook',
            name='paused_until',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='alerthook',
            name='previous_secrets',
            field=postbacks.models.fields.EncryptedJSONField(db_default=models.Value('', models.TextField()), default=dict, editable=False),
        ),
        migrations.CreateModel(
            name='HookMessage',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('event', models.CharField(choices=[('alert.opened', 'Alert opened'), ('alert.recovered', 'Alert ended'), ('conversion.delivered', 'Conversion delivered'), ('conversion.confirmed', 'Conversion confirmed'), ('conversion.failed', 'Conversion failed'), ('conversion.not_sent', 'Conversion not sent'), ('erasure.completed', 'Erasure completed'), ('erasure.failed', 'Erasure failed')], max_length=32)),
                ('row', models.UUIDField(help_text='The id of the delivery or of the erasure.')),
                ('ended_as', models.JSONField(default=dict)),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('sent', 'Sent'), ('dropped', 'Dropped')], default='waiting', max_length=8)),
                ('attempts_made', models.PositiveSmallIntegerField(default=0)),
                ('next_attempt_at', models.DateTimeField(default=audience.database.clock.now)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('result', models.CharField(blank=True, help_text='The result of the last attempt.', max_length=200)),
                ('created_at', models.DateTimeField(default=audience.database.clock.now)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('game', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='audience.game')),
                ('hook', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='messages', to='postbacks.alerthook')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['hook', 'next_attempt_at'], name='hook_message_due'), models.Index(condition=models.Q(('finished_at', None), _negated=True), fields=['finished_at'], name='hook_message_ended'), models.Index(fields=['-created_at'], name='hook_message_newest')],
            },
        ),
    ]
