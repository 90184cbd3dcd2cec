"""Which IP addresses tell one household from others, and how two spellings of one address are compared.

The address in the context of an event is any text that its sender states.
"""

from ipaddress import ip_network

from audience.intake.requests.caller import MAX_ADDRESS_LENGTH, Address, read_address

# Addresses that many networks use at the same time (RFC 6890): a server behind a proxy that it does not trust, or a
# program that reads the address of its own interface, states one of these for all of its players.
NOT_PUBLIC = [
    ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/10", "ff00::/8"),
    )
]
# The bits of an address, by its version, that a sender sets to 0 to store it without the person: the last byte, or the
# interface.
MASKED_BITS: dict[int, int] = {4: 8, 6: 64}
# An SQL expression of the form in which addresses are compared. A dual-stack socket writes ::ffff:203.0.113.9.
COMPARED = "regexp_replace(lower(btrim({column})), '^::ffff:(?=[0-9.]+$)', '')"


def is_usable(text: str) -> bool:
    """Whether an address is readable, public and complete."""
    address = read_address(text) if len(text) <= MAX_ADDRESS_LENGTH else None
    return address is not None and not _is_masked(address) and not any(address in network for network in NOT_PUBLIC)


def _is_masked(address: Address) -> bool:
    return int(address) % (1 << MASKED_BITS[address.version]) == 0
