"""Site preferences: XNAT's names and defaults, as far as the hub or its clients look at them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub import policy
from overread.hub.access import Caller
from overread.hub.arrival.anonymising import SITE_SCRIPT, check_script
from overread.hub.errors import bad_request
from overread.hub.items.ids import checked_id, site_id
from overread.hub.models import SiteSetting

if TYPE_CHECKING:
    from overread.hub.core import Hub

XNAT_VERSION = "1.9.3"
"""Version of XNAT whose answers the hub gives."""

Preference = str | int | bool

DEFAULTS: dict[str, Preference] = {
    "siteDescriptionText": "",
    "requireLogin": True,
    "checksums": True,
    "enableCsrfToken": True,
    **policy.DEFAULTS,
    "sessionXmlRebuilderInterval": 5,
    "sessionXmlRebuilderRepeat": 60000,
    "defaultProjectAutoArchiveSetting": 4,
    "projectAllowAutoArchive": True,
    "enableDicomReceiver": True,
    "enableSitewideAnonymizationScript": False,
    "sitewideAnonymizationScript": "",
    "scanTypeMapping": True,
    "failMergeOn": "",
    "processingUrl": "",
    "uiAllowNonAdminProjectCreation": True,
    "uiDateFormat": "MM/dd/yyyy",
    "zipExtensions": "zip,jar,rar,ear,gar,mrb",
    "restrictUserListAccessToAdmins": True,
    "siteWideAlertStatus": "off",
    "siteWideAlertType": "message",
    "siteWideAlertMessage": "",
    "adminEmail": "",
    "inboxPath": "",
}
_PUBLIC = frozenset({"siteHome", "siteId", "siteLogoPath", "siteUrl"})
_FOR_USERS = _PUBLIC | {
    "checksums", "sessionXmlRebuilderInterval", "sessionXmlRebuilderRepeat", "enableDicomReceiver",
    "sitewideAnonymizationScript", "enableSitewideAnonymizationScript", "scanTypeMapping", "failMergeOn",
    "processingUrl", "uiAllowNonAdminProjectCreation", "uiDateFormat", "siteDescriptionText",
}  # fmt: skip


def preferences(db: Session, hub: Hub) -> dict[str, Preference]:
    """Return all preferences."""
    found = {**DEFAULTS, "siteHome": "/", "siteLogoPath": "", "siteUrl": hub.config.site_url}
    found["requireLogin"] = True  # the hub knows no open site
    for setting in db.scalars(select(SiteSetting)):
        found[setting.name] = json.loads(setting.value) if setting.name in DEFAULTS else setting.value
    return found | {"siteId": site_id(db, hub)}


def preference(db: Session, hub: Hub, name: str) -> Preference | None:
    """Return one preference, None if there is no such."""
    return preferences(db, hub).get(name)


def visible(caller: Caller, name: str) -> bool:
    """Whether `caller` may read the preference `name`."""
    if caller.is_admin or name in _PUBLIC:
        return True
    return name in _FOR_USERS and not caller.is_guest


def set_preferences(db: Session, hub: Hub, values: dict[str, Any]) -> None:
    """Change preferences; a value must be of the kind that is there."""
    known = preferences(db, hub)
    for name, value in values.items():
        if name not in known:
            raise bad_request(f"There is no preference {name!r}.")
        if name in {"siteUrl", "requireLogin"}:
            raise bad_request(f"{name} is given when the hub starts.")
        if name == SITE_SCRIPT:
            check_script(str(value))
        if name in policy.DEFAULTS:
            policy.check_preference(name, value)
            hub.policies.change(db)
        text = checked_id(str(value)) if name == "siteId" else json.dumps(_of_kind(name, value, known[name]))
        db.merge(SiteSetting(name=name, value=text))
    db.flush()


def _of_kind(name: str, value: object, now: Preference) -> Preference:
    if isinstance(now, bool):
        word = str(value).lower()
        if word in {"true", "false"}:
            return word == "true"
        raise bad_request(f"{name} must be true or false.")
    if isinstance(now, int):
        try:
            return int(str(value))
        except ValueError:
            raise bad_request(f"{name} must be a whole number.") from None
    return str(value)
