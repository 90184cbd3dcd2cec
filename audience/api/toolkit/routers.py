"""Routers of the management API. The basename begins the operation ids: keys_list, keys_create, ..."""

from rest_framework.routers import DynamicRoute, Route, SimpleRouter

# In addresses of operations of one game.
GAME_SLUG = "[-a-zA-Z0-9_]+"
GAME = f"games/(?P<game>{GAME_SLUG})"


class SingletonRouter(SimpleRouter):
    """Routes of what there is one of, such as a section of a game's settings: they have no id."""

    routes = [
        Route(
            url=r"^{prefix}{trailing_slash}$",
            mapping={
                "get": "retrieve",
                "post": "create",
                "put": "update",
                "patch": "partial_update",
                "delete": "destroy",
            },
            name="{basename}",
            detail=True,
            initkwargs={},
        ),
        DynamicRoute(
            url=r"^{prefix}/{url_path}{trailing_slash}$", name="{basename}-{url_name}", detail=True, initkwargs={}
        ),
    ]
