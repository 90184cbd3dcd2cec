"""The running processes of this installation, one row each, written by the process."""

from django.db import models


class ProcessKind(models.TextChoices):
    BEAT = "beat", "Beat"
    WORKER = "worker", "Worker"
    WEB = "web", "Web process"


class Heartbeat(models.Model):
    """One process. All times are the database's, so that a process with a wrong clock does not appear to be dead.

    Rows older than a day are pruned, hence no `game_id` and no further index.
    """

    kind = models.CharField(max_length=8, choices=ProcessKind.choices)
    name = models.CharField(max_length=255, help_text="Its host and process ID, or a worker's Celery name.")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="When it last reported.")
    worked_at = models.DateTimeField(null=True, blank=True, help_text="When this worker last started a task.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "name"], name="one_heartbeat_per_process")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.name}"
