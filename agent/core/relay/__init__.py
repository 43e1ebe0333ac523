"""The TURN server as a machine: credentials, allocations, permissions, policy and fair shares. No bulk passes here."""
