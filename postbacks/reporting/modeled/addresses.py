"""Which IP addresses tell one household from others, and how two spellings of one address are compared.

The address in the context of an event is any text that its sender states.
"""

from ipaddress import ip_address

from postbacks.networks.interface.contacts import read_public_address

# The bits of an address, by its version, that a sender sets to 0 to store it without the person: the last byte, or the
# interface.
MASKED_BITS: dict[int, int] = {4: 8, 6: 64}
# An SQL expression of the form in which addresses are compared. A dual-stack socket writes ::ffff:203.0.113.9.
COMPARED = "regexp_replace(lower(btrim({column})), '^::ffff:(?=[0-9.]+$)', '')"


def is_usable(text: str) -> bool:
    """Whether an address is readable, public and complete. Many networks use those that are not public: a program that
    reads the address of its own interface states one of them for all of its players."""
    public = read_public_address(text)
    return public is not None and not _is_masked(public)


def _is_masked(text: str) -> bool:
    address = ip_address(text)
    return int(address) % (1 << MASKED_BITS[address.version]) == 0
