"""What all tests share, those in ``tests/`` and those beside each image in ``containers/``."""

pytest_plugins = ["helpers.environments", "helpers.requirements", "helpers.own_requests", "helpers.lanes"]
