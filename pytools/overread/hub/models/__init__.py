"""What the hub stores, one file per subject."""

from overread.hub.models.access import AliasToken, Membership, User
from overread.hub.models.base import Base
from overread.hub.models.dicom import PrearchiveSession, ReceivedObject, Receiver
from overread.hub.models.items import (
    Experiment,
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
from overread.hub.models.settings import ConfigEntry, CustomFields, CustomForm, SiteSetting

__all__ = [
    "AliasToken",
    "Base",
    "BulkLaunch",
    "Command",
    "ConfigEntry",
    "Container",
    "CustomFields",
    "CustomForm",
    "Delivery",
    "Enablement",
    "Experiment",
    "Instance",
    "Membership",
    "Orchestration",
    "OrchestrationProject",
    "PrearchiveSession",
    "Project",
    "ReceivedObject",
    "Receiver",
    "Resource",
    "ResourceFile",
    "Scan",
    "Sequence",
    "Share",
    "SiteSetting",
    "Subject",
    "Subscription",
    "User",
    "Workflow",
    "WrapperConfig",
]
