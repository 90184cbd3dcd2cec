from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audience', '0018_deleted_postbacks'),
    ]

    operations = [
        migrations.CreateModel(
            name='Heartbeat',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('beat', 'Beat'), ('worker', 'Worker'), ('web', 'Web process')], max_length=8)),
                ('name', models.CharField(help_text="Its host and process id, or a worker's Celery name.", max_length=255)),
                ('started_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField(help_text='When it last said that it runs.')),
                ('worked_at', models.DateTimeField(blank=True, help_text='When this worker last took up a task.', null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('kind', 'name'), name='one_heartbeat_per_process')],
            },
        ),
    ]
