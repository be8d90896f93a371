"""A hub that loads the plugin of a small study, and the study's files: for tests of what sets a study up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from helpers.ports import free_port
from helpers.study_folder import write_study
from hub_fixture import RunningHub, start_hub
from overread.cli.main import main
from overread.plugins.build import build_plugin


@dataclass(frozen=True)
class Site:
    """A hub, and a study that is not yet on it."""

    hub: RunningHub
    manifest: Path
    dicom_port: int

    def apply(self, *options: str, user: str = "admin", password: str | None = None) -> Result:
        arguments = ["study", "apply", str(self.manifest), "--server", self.hub.url, "--user", user, *options]
        environment = {"OVERREAD_PASSWORD": self.hub.password if password is None else password}
        return CliRunner().invoke(main, [*arguments, "--dicom-port", str(self.dicom_port)], env=environment)

    def run(self, *arguments: str, url: str = "", user: str = "admin", password: str | None = None) -> Result:
        """Run a command of ours against the hub, or against what stands before it at `url`."""
        environment = {"OVERREAD_PASSWORD": self.hub.password if password is None else password}
        return CliRunner().invoke(main, [*arguments, "--server", url or self.hub.url, "--user", user], env=environment)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.manifest.parent / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")


def start_site(folder: Path) -> Site:
    manifest = write_study(folder / "knee")
    build_plugin(manifest.parent, folder / "home" / "plugins")
    return Site(start_hub(folder, images=(manifest.parent / "images",)), manifest, free_port())
