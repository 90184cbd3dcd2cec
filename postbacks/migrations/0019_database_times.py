import audience.database.clock
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('postbacks', '0018_server_troubles'),
    ]

    operations = [
        migrations.AlterField(
            model_name='alert',
            name='opened_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='alerthook',
            name='created_at',
            field=models.DateTimeField(default=audience.database.clock.now, editable=False),
        ),
        migrations.AlterField(
            model_name='configversion',
            name='set_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='credentialcheck',
            name='created_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='created_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='notice',
            name='created_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='notice',
            name='next_attempt_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
        migrations.AlterField(
            model_name='postbackconfig',
            name='created_at',
            field=models.DateTimeField(default=audience.database.clock.now, editable=False),
        ),
        migrations.AlterField(
            model_name='replay',
            name='created_at',
            field=models.DateTimeField(default=audience.database.clock.now),
        ),
    ]
