"""A fast password hasher for tests: the product's takes 0.2 s of CPU time on purpose."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class FastHasher(PBKDF2PasswordHasher):
    """PBKDF2 with one iteration; stored passwords look like the product's."""

    iterations = 1
