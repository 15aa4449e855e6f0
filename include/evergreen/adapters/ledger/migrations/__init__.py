"""Alembic's migrations of the ledger. Each is written once and never edited after a release."""
