from django.apps import AppConfig
from django.db.backends.signals import connection_created

from audience.database import timestamps

ACCOUNT = ["username", "email", "first_name", "last_name", "is_active", "is_staff", "is_superuser"]


class AudienceConfig(AppConfig):
    name = "audience"

    def ready(self) -> None:
        connection_created.connect(timestamps.register)
        # Not at the top of the file: these modules import models, which are not loaded yet at that point.
        from allauth.mfa.models import Authenticator
        from auditlog.registry import auditlog
        from django.contrib.auth import get_user_model

        # Without `last_login`: axes logs sign-ins.
        auditlog.register(
            get_user_model(),
            include_fields=[*ACCOUNT, "password"],
            mask_fields=["password"],
            mask_callable="audience.accounts.audit_log.password_state",
            m2m_fields={"groups", "user_permissions"},
        )
        of_user = {"mask_fields": ["user"], "mask_callable": "audience.accounts.audit_log.account_name"}
        auditlog.register(Authenticator, include_fields=["user", "type"], **of_user)
        auditlog.register(self.get_model("AddressChange"), include_fields=["user", "email"], **of_user)
        auditlog.register(self.get_model("AccountSettings"), include_fields=["user", "time_zone"], **of_user)
        auditlog.register(self.get_model("Game"))
        auditlog.register(self.get_model("ExchangeRate"))
        auditlog.register(self.get_model("DescribedEvent"), exclude_fields=["updated_at", "updated_by", "version"])
        auditlog.register(self.get_model("Membership"))
        auditlog.register(self.get_model("TrackingLink"), exclude_fields=["updated_at", "version"])
        auditlog.register(self.get_model("Invitation"), exclude_fields=["digest"])
        # The prefix identifies the key. The value is excluded, not masked: auditlog's mask shows half of it.
        auditlog.register(self.get_model("ApiKey"), exclude_fields=["digest", "value", "last_used_at", "remind_at"])
        auditlog.register(self.get_model("ApiToken"), exclude_fields=["digest", "last_used_at", "expiry_recorded"])
        # An entry must not name the player; counts and linked hashes are on the receipt.
        auditlog.register(
            self.get_model("Erasure"),
            exclude_fields=["subject", "linked_hashes", "counts", "next_attempt_at", "suppressed_messages"],
        )
