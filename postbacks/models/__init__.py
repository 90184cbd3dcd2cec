"""The tables of this app, by noun."""

from postbacks.models.alerts import (
    Alert,
    AlertChoice,
    AlertEnding,
    AlertFrequency,
    AlertHook,
    Notice,
    NoticeKind,
    NoticeState,
)
from postbacks.models.attempts import AttemptStatus, DeliveryAttempt
from postbacks.models.configs import CheckState, ConfigVersion, CredentialCheck, PostbackConfig, Purpose
from postbacks.models.counts import AttemptCount, DeliveryCount
from postbacks.models.deliveries import UNKNOWN, Confirmation, Delivery, DeliveryState
from postbacks.models.flow import Flow
from postbacks.models.replays import Replay, ReplayState
from postbacks.models.server import ServerTrouble
