"""The commands of the chip, one module per subject, and the table that names them all."""
