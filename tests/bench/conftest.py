"""The fixtures that all tests with real servers share."""

from support.fixtures import workdir  # noqa: F401
