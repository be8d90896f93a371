"""What all tests share, those in ``tests/`` and those beside each image in ``containers/``."""

from hypothesis import settings

from helpers.requirements import is_ci

pytest_plugins = ["helpers.requirements"]

# A busy machine is no failure, so no deadline; in CI the same examples every time, so that a red run is somebody's change.
settings.register_profile("overread", deadline=None, derandomize=is_ci())
settings.load_profile("overread")
