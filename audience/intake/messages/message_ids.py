"""The message ids that events are known by, apart for public keys and for those of servers."""

import uuid

# Before the message ids of a server's key.
SERVER_IDS = "server:"
LONGEST_MESSAGE_ID = 256


def stored_id(message_id: str, *, is_server: bool) -> str:
    """The message id as it is stored: "server:<id>" for what comes with a server's key.

    Whoever reads a public key in a client could otherwise send an event under the id that a server is about to use,
    and the server's own would be passed over as its copy. So the two kinds of key never share an id; one that a public
    key sends in the server's spelling, or that has become too long, is replaced by a UUID made from it.
    """
    if is_server and len(message_id) <= LONGEST_MESSAGE_ID - len(SERVER_IDS):
        return SERVER_IDS + message_id
    if is_server:
        return SERVER_IDS + str(uuid.uuid5(uuid.NAMESPACE_OID, message_id))
    if message_id.startswith(SERVER_IDS):
        return str(uuid.uuid5(uuid.NAMESPACE_OID, message_id))
    return message_id
