"""The settings of Django REST framework, and of the document about the API."""

from typing import Any

# The name of the security scheme, as in audience/api/toolkit/schema.py, which needs the settings.
SECURITY_SCHEME = "managementToken"

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    # The answer has the format of the Accept header only.
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Afterclick",
    "DESCRIPTION": "Receive player events. Attributed conversions are sent to the ad networks.",
    "VERSION": "0.2.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "DEFAULT_GENERATOR_CLASS": "config.api_document.CachedGenerator",
    "OAS_VERSION": "3.1.1",
    # In the order of the routes and dialects.
    "SORT_OPERATIONS": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "audience.intake.openapi.add_ingestion_routes",
    ],
    # Sets of values of fields with the same name, such as `state`.
    "ENUM_NAME_OVERRIDES": {
        "AttemptStatusEnum": "postbacks.models.AttemptStatus",
        "CheckStateEnum": "postbacks.models.CheckState",
        "ConsentLevelEnum": "audience.api.consent.serializers.LEVELS",
        "CurrencyEnum": "postbacks.api.game_settings.serializers.CURRENCIES",
        "DeliveryStateEnum": "postbacks.models.DeliveryState",
        "EventKindEnum": "audience.models.Kind",
        "KeyKindEnum": "audience.models.KeyKind",
        "NoticeStateEnum": "postbacks.models.NoticeState",
        "PropertyTypeEnum": "audience.models.PropertyType",
        "ReceiptStateEnum": "audience.privacy.receipts.ReceiptState",
        "ReplayStateEnum": "postbacks.models.ReplayState",
        "SendingStateEnum": "postbacks.configs.sending_state.SendingState",
        "TokenStateEnum": "audience.models.tokens.TokenState",
        "TriggerEnum": "audience.models.Trigger",
        "VerdictEnum": "postbacks.api.conversions.trail_serializers.VERDICTS",
    },
    # Answers of actions have other fields than their requests.
    "COMPONENT_SPLIT_REQUEST": True,
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            SECURITY_SCHEME: {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of the management API, created on the Hub's page API tokens.",
            }
        }
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    # No validator badge: it would send the document to another server.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None, "defaultModelsExpandDepth": 0},
}
