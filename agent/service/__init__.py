"""Drivers: each carries one machine to the world. asyncio lives here, in app and in port only."""
