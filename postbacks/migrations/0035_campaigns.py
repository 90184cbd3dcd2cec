"""Figures of ads and cohorts, and what ads cost."""

import audience.models.games
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audience', '0045_changed_quarters'),
        ('postbacks', '0034_time_zones_of_ad_accounts'),
    ]

    operations = [
        migrations.CreateModel(
            name='AdvertDay',
            fields=[
                ('game_id', models.BigIntegerField()),
                ('advert_id', models.BigIntegerField()),
                ('trigger', models.CharField(max_length=256)),
                ('currency', models.CharField(max_length=3)),
                ('number', models.IntegerField()),
                ('players', models.IntegerField()),
                ('sent', models.IntegerField()),
                ('accepted', models.IntegerField()),
                ('value', models.DecimalField(decimal_places=6, max_digits=38)),
                ('pk', models.CompositePrimaryKey('game_id', 'day', 'advert_id', 'trigger', 'currency', blank=True, editable=False, primary_key=True, serialize=False)),
                ('day', models.DateField()),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='CohortDay',
            fields=[
                ('game_id', models.BigIntegerField()),
                ('advert_id', models.BigIntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('players', models.IntegerField()),
                ('active_1', models.IntegerField()),
                ('active_7', models.IntegerField()),
                ('active_30', models.IntegerField()),
                ('revenue_0', models.DecimalField(decimal_places=6, max_digits=38)),
                ('revenue_1', models.DecimalField(decimal_places=6, max_digits=38)),
                ('revenue_7', models.DecimalField(decimal_places=6, max_digits=38)),
                ('revenue_30', models.DecimalField(decimal_places=6, max_digits=38)),
                ('revenue_90', models.DecimalField(decimal_places=6, max_digits=38)),
                ('pk', models.CompositePrimaryKey('game_id', 'day', 'advert_id', 'currency', blank=True, editable=False, primary_key=True, serialize=False)),
                ('day', models.DateField()),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='CohortQuarter',
            fields=[
                ('game_id', models.BigIntegerField()),
                ('advert_id', models.BigIntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('players', models.IntegerField()),
                ('active_1', models.IntegerField()),
                ('active_7', models.IntegerField()),
                ('active_30', models.IntegerField()),
                ('revenue_0', models.DecimalField(decimal_places=6, max_digits=38)),
                ('revenue_1', models.DecimalField(decimal_places=6, max_digits=38)),
                ('revenue_7', models.DecimalField(decimal_places=6, max_digits=38)),
                ('revenue_30', models.DecimalField(decimal_places=6, max_digits=38)),
                ('revenue_90', models.DecimalField(decimal_places=6, max_digits=38)),
                ('pk', models.CompositePrimaryKey('game_id', 'starts_at', 'advert_id', 'currency', blank=True, editable=False, primary_key=True, serialize=False)),
                ('starts_at', models.DateTimeField()),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='AdvertQuarter',
            fields=[
                ('game_id', models.BigIntegerField()),
                ('advert_id', models.BigIntegerField()),
                ('trigger', models.CharField(max_length=256)),
                ('currency', models.CharField(max_length=3)),
                ('number', models.IntegerField()),
                ('players', models.IntegerField()),
                ('sent', models.IntegerField()),
                ('accepted', models.IntegerField()),
                ('value', models.DecimalField(decimal_places=6, max_digits=38)),
                ('pk', models.CompositePrimaryKey('game_id', 'starts_at', 'advert_id', 'trigger', 'currency', blank=True, editable=False, primary_key=True, serialize=False)),
                ('starts_at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['game_id', 'advert_id', 'starts_at'], name='advert_quarter_of_ad')],
            },
        ),
        migrations.CreateModel(
            name='AdCost',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('network', models.CharField(max_length=16)),
                ('campaign', models.CharField(max_length=200)),
                ('campaign_id', models.CharField(blank=True, max_length=200)),
                ('spend', models.DecimalField(decimal_places=6, max_digits=20)),
                ('currency', models.CharField(max_length=3)),
                ('clicks', models.BigIntegerField(blank=True, null=True)),
                ('impressions', models.BigIntegerField(blank=True, null=True)),
                ('game', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='audience.game')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('game', 'day', 'network', 'campaign', 'campaign_id'), name='one_cost_per_campaign_and_day')],
            },
        ),
        migrations.CreateModel(
            name='Advert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('network', models.CharField(max_length=16)),
                ('campaign', models.CharField(max_length=200)),
                ('ad_group', models.CharField(max_length=200)),
                ('ad', models.CharField(max_length=200)),
                ('game', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='audience.game')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('game', 'network', 'campaign', 'ad_group', 'ad'), name='one_row_per_ad')],
            },
        ),
        migrations.CreateModel(
            name='CampaignId',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('network', models.CharField(max_length=16)),
                ('campaign_id', models.CharField(max_length=200)),
                ('campaign', models.CharField(max_length=200)),
                ('game', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='audience.game')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('game', 'network', 'campaign_id', 'campaign'), name='one_row_per_campaign_id')],
            },
        ),
        migrations.CreateModel(
            name='CostUpload',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('rows', models.PositiveIntegerField()),
                ('replaced', models.PositiveIntegerField(help_text='Rows of these days and campaigns that were there before.')),
                ('first_day', models.DateField()),
                ('last_day', models.DateField()),
                ('uploaded_by', models.CharField(blank=True, max_length=254)),
                ('uploaded_at', models.DateTimeField()),
                ('game', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='cost_uploads', to='audience.game')),
            ],
            options={
                'indexes': [models.Index(fields=['game', '-uploaded_at'], name='cost_upload_newest')],
            },
            bases=(audience.models.games.AuditedInGame, models.Model),
        ),
    ]
