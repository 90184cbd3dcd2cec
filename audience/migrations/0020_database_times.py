import audience.database.clock
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audience', '0019_heartbeats'),
    ]

    operations = [
        migrations.AlterField(
            model_name='apikey',
            name='created_at',
            field=models.DateTimeField(default=audience.database.clock.now, editable=False),
        ),
        migrations.AlterField(
            model_name='batch',
            name='next_attempt_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='conversion',
            name='created_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='device',
            name='updated_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='erasure',
            name='next_attempt_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='erasure',
            name='requested_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='failedwork',
            name='first_failed_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='failedwork',
            name='next_attempt_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='game',
            name='created_at',
            field=models.DateTimeField(default=audience.database.clock.now, editable=False),
        ),
        migrations.AlterField(
            model_name='goalevent',
            name='created_at',
            field=models.DateTimeField(default=audience.database.clock.now, editable=False),
        ),
        migrations.AlterField(
            model_name='group',
            name='updated_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='identity',
            name='first_seen_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='invitation',
            name='created_at',
            field=models.DateTimeField(default=audience.database.clock.now, editable=False),
        ),
        migrations.AlterField(
            model_name='membership',
            name='created_at',
            field=models.DateTimeField(default=audience.database.clock.now, editable=False),
        ),
    ]
