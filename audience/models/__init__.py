from audience.models.accounts import AccountSettings, AddressChange, SignInPace
from audience.models.active_quarters import ActiveQuarter
from audience.models.attribution import Conversion, GoalEvent, Reason, Touch, Trigger, ValueProblem, trigger_label
from audience.models.counts import ClickMacroCount, ConversionCount, PlaceholderCount, RequestCount
from audience.models.described_events import DescribedEvent, PropertyType
from audience.models.erasure import Erasure, ErasureState, ReceiptKey, Suppression, SuppressionVersion
from audience.models.event_counts import (
    EventCount,
    PropertyCount,
    SenderCount,
    UncountedBatches,
    ValueProblemCount,
)
from audience.models.events import Batch, BatchState, Event, Kind, Rejection
from audience.models.failed_work import FailedWork, Queue
from audience.models.games import AuditedInGame, Game, Membership, Role
from audience.models.heartbeats import Heartbeat, ProcessKind
from audience.models.join_kinds import JoinKind
from audience.models.joins import ClaimCode, Join
from audience.models.keys import ApiKey, Dialect, Environment, KeyKind
from audience.models.links import LinkConsent, LinkCount, TrackingLink
from audience.models.members import Invitation
from audience.models.modeled import MatchResult, ModeledMatch
from audience.models.people import Device, Group, Identity, Owners, Ownership, OwnershipSource, Person
from audience.models.prune_positions import PrunePosition
from audience.models.rates import ExchangeRate
from audience.models.tokens import ApiToken, IdempotentRequest, Scope, TokenState
