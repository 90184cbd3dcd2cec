"""Failures of sending a message."""


class SendingFailed(Exception):
    """Not delivered, with a sentence; a retry may succeed."""


class NoReceiver(Exception):
    """There is no receiver any more, with a sentence."""
