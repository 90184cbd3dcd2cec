"""Failures of sending a message."""


class Failed(Exception):
    """Not delivered, with a sentence; a retry may succeed."""


class NotSendable(Exception):
    """There is no receiver any more, with a sentence."""
