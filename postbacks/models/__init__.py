"""The tables of this app, by noun."""

from postbacks.models.alerts import (
    Alert,
    AlertChoice,
    AlertEnding,
    AlertFrequency,
    Notice,
    NoticeKind,
    NoticeState,
    ServerTrouble,
)
from postbacks.models.attempts import AttemptCount, AttemptStatus, DeliveryAttempt
from postbacks.models.campaigns import (
    AdCost,
    Advert,
    AdvertDay,
    AdvertQuarter,
    CampaignId,
    CohortDay,
    CohortQuarter,
    CostUpload,
)
from postbacks.models.checks import CheckState, CredentialCheck, Purpose
from postbacks.models.configs import EVERY_CLICK, HELD_BY_USER, ConfigVersion, PostbackConfig
from postbacks.models.deliveries import OUTCOME_UNKNOWN, Confirmation, Delivery, DeliveryState, Flow
from postbacks.models.game_goals import GameGoal
from postbacks.models.hooks import ALERT_EVENTS, AlertHook, HookEvent, HookMessage, MessageState
from postbacks.models.replays import Replay, ReplayState
from postbacks.models.steam import SteamUpload, SteamVisits
