"""Patterns of ids in addresses. An address with another id is not found."""

UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
# Of a bigint.
NUMBER = "[0-9]{1,18}"
DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
UUID_SCHEMA = {"type": "string", "format": "uuid"}
