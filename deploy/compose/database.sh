#!/bin/sh
# Once, when PostgreSQL makes its directory: the role by which backups are taken, and leave for it to ask.
set -eu
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 --set password="$BACKUP_PASSWORD" <<'SQL'
CREATE ROLE exchange_backup LOGIN REPLICATION PASSWORD :'password';
SQL
echo "host replication exchange_backup samenet scram-sha-256" >> "$PGDATA/pg_hba.conf"
