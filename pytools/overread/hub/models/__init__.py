"""What the hub stores, one file per subject."""

from overread.hub.models.access import AliasToken, Membership, User
from overread.hub.models.audit import AuditEvent
from overread.hub.models.base import Base
from overread.hub.models.dicom import (
    PrearchiveSession,
    ReceivedObject,
    Receiver,
    RefusedAssociation,
    StorageCommitment,
)
from overread.hub.models.history import HistoryEvent
from overread.hub.models.items import (
    Experiment,
    FileJournal,
    Instance,
    Project,
    Resource,
    ResourceFile,
    Scan,
    Sequence,
    Share,
    Subject,
)
from overread.hub.models.runs import (
    BulkLaunch,
    Command,
    Container,
    Delivery,
    Enablement,
    Orchestration,
    OrchestrationProject,
    Subscription,
    Workflow,
    WrapperConfig,
)
from overread.hub.models.searches import StoredSearch
from overread.hub.models.settings import ButtonSecret, ConfigEntry, CustomFields, CustomForm, SiteSetting

__all__ = [
    "AliasToken",
    "AuditEvent",
    "Base",
    "BulkLaunch",
    "ButtonSecret",
    "Command",
    "ConfigEntry",
    "Container",
    "CustomFields",
    "CustomForm",
    "Delivery",
    "Enablement",
    "Experiment",
    "FileJournal",
    "HistoryEvent",
    "Instance",
    "Membership",
    "Orchestration",
    "OrchestrationProject",
    "PrearchiveSession",
    "Project",
    "ReceivedObject",
    "Receiver",
    "RefusedAssociation",
    "Resource",
    "ResourceFile",
    "Scan",
    "Sequence",
    "Share",
    "SiteSetting",
    "StorageCommitment",
    "StoredSearch",
    "Subject",
    "Subscription",
    "User",
    "Workflow",
    "WrapperConfig",
]
