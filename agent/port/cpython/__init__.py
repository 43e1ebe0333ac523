"""The port's bodies for CPython >= 3.11."""
