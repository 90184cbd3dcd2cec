"""A password hasher for tests: the product's own takes a fifth of a second of processor time by intention."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class FastHasher(PBKDF2PasswordHasher):
    """PBKDF2 with one iteration; stored passwords look like the product's."""

    iterations = 1
