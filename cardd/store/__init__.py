"""The registry in an SQL database: people, badges, presences and journals, each row under a MAC."""
