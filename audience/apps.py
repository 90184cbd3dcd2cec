from django.apps import AppConfig


class AudienceConfig(AppConfig):
    name = "audience"

    def ready(self) -> None:
        # Here, not at the top: the registry's module imports models, which are not loaded yet up there.
        from auditlog.registry import auditlog

        auditlog.register(self.get_model("Game"))
        auditlog.register(self.get_model("Membership"))
        auditlog.register(self.get_model("Invitation"), exclude_fields=["digest"])
        # The prefix says which key it was. Left out, not masked: auditlog's mask keeps half of a value readable.
        auditlog.register(self.get_model("ApiKey"), exclude_fields=["digest", "value", "last_used_at"])
        # A receipt names its player by a hash; the counts and the linked hashes are on the receipt.
        auditlog.register(
            self.get_model("Erasure"), exclude_fields=["subject", "linked_hashes", "counts", "next_attempt_at"]
        )
