"""The stored message ids, which differ between public keys and the keys of servers."""

import uuid

# The prefix of message ids that were sent with a server key.
SERVER_IDS = "server:"
MAX_MESSAGE_ID_LENGTH = 256


def stored_id(message_id: str, *, is_server: bool) -> str:
    """The message id as it is stored: "server:<id>" for messages of a server key.

    With a public key, which anyone can read in a client, one could otherwise send an event under the id that a server
    will use, and the server's event would be dropped as its copy. So the two kinds of key never share an id: one that a
    public key sends with the prefix, or that would be too long with it, is replaced by a UUID derived from it.
    """
    if is_server and len(message_id) <= MAX_MESSAGE_ID_LENGTH - len(SERVER_IDS):
        return SERVER_IDS + message_id
    if is_server:
        return SERVER_IDS + str(uuid.uuid5(uuid.NAMESPACE_OID, message_id))
    if message_id.startswith(SERVER_IDS):
        return str(uuid.uuid5(uuid.NAMESPACE_OID, message_id))
    return message_id
