#!/bin/sh
# The database and its three logins, at the first start of PostgreSQL: the owner migrates, the app is subject to row-level security, the admin
# login spans tenants.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set=owner_password="$POSTGRES_OWNER_PASSWORD" --set=app_password="$POSTGRES_APP_PASSWORD" \
    --set=admin_password="$POSTGRES_ADMIN_PASSWORD" <<'SQL'
create role arrakis_owner login nocreatedb password :'owner_password';
create role arrakis_app login nobypassrls password :'app_password';
create role arrakis_admin login bypassrls password :'admin_password';
create database arrakis owner arrakis_owner;
SQL
