"""The commands of a CPS3."""
