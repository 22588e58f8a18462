"""What we remember, in SQL that SQLite and PostgreSQL both speak."""
