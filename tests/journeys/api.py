"""A client of the management API of a running product."""

import json
import uuid
from typing import Any

from tests.journeys.product import Product

FIRST_TOKEN = """
from django.contrib.auth.models import User
from audience.accounts import tokens
from audience.models import Scope
user = User.objects.get(email="{email}")
print(tokens.create_user_token(user=user, name="Deployment", scopes=list(Scope)).value)
"""


class Api:
    """Sends requests to a running product with a token."""

    def __init__(self, product: Product, token: str) -> None:
        self.product, self.token = product, token

    def send(self, method: str, path: str, body: Any = None, *, expect: int = 200, **headers: str) -> Any:
        """Return the answer's JSON. `path` is relative to /api/v1/."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "POST":
            named.setdefault("Idempotency-Key", str(uuid.uuid4()))
        answer = self.product.http.request(
            method,
            f"{self.product.url}/api/v1/{path}",
            headers={"Authorization": f"Bearer {self.token}", **named},
            timeout=40,
            **({} if body is None else {"json": body}),
        )
        assert answer.status == expect, (answer.status, answer.data[:2000])
        return json.loads(answer.data) if answer.data else None

    def get(self, path: str, **options: Any) -> Any:
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.send("POST", path, body, **options)


def first_token(product: Product) -> str:
    """Create a token of the demo's admin with all scopes, and return it."""
    script = FIRST_TOKEN.format(email=product.demo["users"]["admin"]["email"])
    return product.manage("shell", "--no-imports", "-c", script).strip().splitlines()[-1]
