"""The port's bodies for MicroPython's Unix port >= 1.25. Modules that import nothing but
`struct`, `hashlib` and `collections` also run on CPython, for differential tests."""
