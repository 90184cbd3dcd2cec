from django.apps import AppConfig
from django.core import checks

from audience.digest import click_ids
from postbacks.networks import NETWORKS
from postbacks.networks.completeness import check_networks


class PostbacksConfig(AppConfig):
    name = "postbacks"

    def ready(self) -> None:
        # Not at the top of the file: this module imports models, which are not loaded yet at that point.
        from auditlog.registry import auditlog

        checks.register(check_networks)
        for kind, network in NETWORKS.items():
            click_ids.register(
                kind, parameters=network.click_params, sources=network.utm_sources, cookies=network.cookies
            )

        # The default mask of auditlog shows half of a value.
        auditlog.register(
            self.get_model("PostbackConfig"),
            mask_fields=["credential", "previous_credential"],
            mask_callable="postbacks.configs.rules.audit_text",
            exclude_fields=["updated_at", "checked_at", "paused_until", "suspected_at"],
        )
        # The path of a webhook's URL is often a secret.
        auditlog.register(
            self.get_model("AlertHook"),
            exclude_fields=[
                *("secret", "previous_secrets", "next_call_at", "failures", "paused_until"),
                *("last_result", "last_result_at", "dropped", "dropped_at"),
            ],
            mask_fields=["url"],
            mask_callable="postbacks.monitoring.alerts.hooks.host_of",
        )
        auditlog.register(self.get_model("GameGoal"), exclude_fields=["updated_at", "version"])
        auditlog.register(self.get_model("CostUpload"))
        auditlog.register(self.get_model("SteamUpload"))
        auditlog.register(self.get_model("Replay"), exclude_fields=["queued", "past_deadline"])
