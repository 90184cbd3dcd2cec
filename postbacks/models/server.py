"""Server troubles and the mails about them."""

from django.db import models
from django.db.models import Q


class ServerTrouble(models.Model):
    """One trouble from its beginning to its end (postbacks/monitoring/server/watch.py).

    It concerns every game, hence no `game_id`; rows of the last month are kept.
    """

    # postbacks.monitoring.server.server_troubles.Kind
    kind = models.CharField(max_length=32)
    title = models.CharField(max_length=100)
    sentence = models.TextField()
    next_step = models.TextField()
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="When it was last found.")
    ended_at = models.DateTimeField(null=True, blank=True)
    begin_mailed_at = models.DateTimeField(null=True, blank=True)
    end_mailed_at = models.DateTimeField(null=True, blank=True)
    # Moved forward by the process that sends a mail, so that no two processes send the same one.
    next_mail_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind"], condition=Q(ended_at=None), name="one_open_trouble_of_a_kind")
        ]

    def __str__(self) -> str:
        return self.title
