"""What an uploaded file of costs, or of Steam's numbers, leaves besides its rows."""

from django.db import models

from audience.models import AuditedInGame


class UploadedFile(AuditedInGame, models.Model):
    """An uploaded file, for the list of uploads and the audit log. `replaced` is a number of earlier rows."""

    name = models.CharField(max_length=200)
    rows = models.PositiveIntegerField()
    replaced = models.PositiveIntegerField()
    first_day = models.DateField()
    last_day = models.DateField()
    uploaded_by = models.CharField(max_length=254, blank=True)
    uploaded_at = models.DateTimeField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.name}: {self.rows} rows"
