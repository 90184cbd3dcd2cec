"""How sending a message may end other than well."""


class Failed(Exception):
    """It did not get through, as a sentence; later it may."""


class NotSendable(Exception):
    """There is nobody to send it to any more, as a sentence."""
