"""A URL that a user enters: affiliate networks, BI tools and any other server that takes conversions over HTTP."""
