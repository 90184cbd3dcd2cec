"""Fixtures for tests of the management API."""

from tests.postbacks.conftest import sandbox as sandbox
