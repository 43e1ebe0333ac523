"""Bytes <-> values: functions only, no state beyond one parse, no clock, no I/O."""
