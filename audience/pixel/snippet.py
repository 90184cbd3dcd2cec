"""The code that a studio puts on its pages, and the lines that its Content-Security-Policy needs."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import orjson
from django.utils.html import escape

from audience.pixel import script

# The queue takes calls until the script has loaded. The address is stored first: a router may remove its parameters.
INLINE = (
    "(function(w,d,n,s){{w[n]=w[n]||function(){{(w[n].q=w[n].q||[]).push(arguments)}};w[n].c={config};"
    'w[n].u=location.href;s=d.createElement("script");s.async=1;s.crossOrigin="anonymous";s.integrity="{integrity}";'
    's.src="{address}";d.head.append(s)}})(window,document,"afterclick")'
)


@dataclass(frozen=True, slots=True)
class Snippet:
    """`inline` has a queue for calls; `tag` needs no inline script. `csp` maps a directive to the source to add."""

    inline: str
    tag: str
    integrity: str
    address: str
    csp: Mapping[str, str]

    @property
    def policy(self) -> str:
        """The sources as lines of a Content-Security-Policy."""
        return "\n".join(f"{directive} {source};" for directive, source in self.csp.items())


def snippet(*, base: str, config: Mapping[str, str]) -> Snippet:
    """Return the code for a page.

    `base` is the URL of this server, or the path under which the site passes requests on to it (`/e`). `config`: see
    Config in static/pixel/site.js; must have `key`.
    """
    current = script.current()
    address = f"{base}{current.path}"
    # `<` could end the script element.
    stated = orjson.dumps(dict(config)).decode().replace("<", "\\u003c")
    code = INLINE.format(config=stated, integrity=current.integrity, address=address)
    attributes = {"src": address, "integrity": current.integrity, "crossorigin": "anonymous"}
    attributes |= {f"data-{name}": value for name, value in config.items()}
    listed = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    source = "'self'" if base.startswith("/") else base
    digest = b64encode(sha256(code.encode()).digest()).decode()
    return Snippet(
        inline=f"<script>{code}</script>",
        tag=f"<script async {listed}></script>",
        integrity=current.integrity,
        address=address,
        csp={"script-src": f"{source} 'sha256-{digest}'", "connect-src": source},
    )
