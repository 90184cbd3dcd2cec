from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('postbacks', '0017_fill_may_have_arrived'),
    ]

    operations = [
        migrations.CreateModel(
            name='ServerTrouble',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=32)),
                ('title', models.CharField(max_length=100)),
                ('sentence', models.TextField()),
                ('next_step', models.TextField()),
                ('began_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField(help_text='When it was last found.')),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('begin_mailed_at', models.DateTimeField(blank=True, null=True)),
                ('end_mailed_at', models.DateTimeField(blank=True, null=True)),
                ('next_mail_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('kind',), name='one_open_trouble_of_a_kind')],
            },
        ),
    ]
