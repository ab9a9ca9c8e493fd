"""`fnevr web`: a page and a small JSON API on the user's own machine."""
