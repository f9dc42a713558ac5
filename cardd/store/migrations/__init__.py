"""How a registry of another version becomes one of this, and back. The only room with alembic."""
