"""`cardd-kms`: one file a group of commands."""
