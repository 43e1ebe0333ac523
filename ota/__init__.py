"""Signed releases in two slots, and the stage that chooses one (design section 9)."""
