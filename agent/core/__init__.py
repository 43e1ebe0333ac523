"""Machines without I/O (agent/core/machine.py has their contract)."""
