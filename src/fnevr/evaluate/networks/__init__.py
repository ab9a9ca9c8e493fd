"""The networks that metrics look through."""
