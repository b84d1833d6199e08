#!/bin/sh
# A base backup and a check of the log each day, a restore drill each week; none waits for the others to go well. What fails is said by
# `exchange_backup_age_seconds`, `exchange_log_wrong`, `exchange_log_verified_age_seconds` and `exchange_restore_drill_age_seconds`,
# and tried again the next day.
day=0
while :; do
    python manage.py backup
    python manage.py audit_verify
    [ $((day % 7)) -ne 1 ] || python manage.py restore_drill
    day=$((day + 1))
    sleep 86400
done
