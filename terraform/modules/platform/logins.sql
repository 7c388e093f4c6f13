-- Rights and passwords in different statements: a statement that fails is in the log of the server.
\getenv owner_password OWNER_PASSWORD
\getenv app_password APP_PASSWORD
\getenv admin_password ADMIN_PASSWORD
select format('create role %I login', login) from unnest(array['arrakis_owner', 'arrakis_app', 'arrakis_admin']) as login
 where not exists (select from pg_roles where rolname = login) \gexec
alter role arrakis_owner nocreatedb nocreaterole;
alter role arrakis_app nobypassrls nocreatedb nocreaterole;
alter role arrakis_admin bypassrls nocreatedb nocreaterole;
alter role arrakis_owner password :'owner_password';
alter role arrakis_app password :'app_password';
alter role arrakis_admin password :'admin_password';
grant arrakis_owner to current_user;
select 'create database arrakis owner arrakis_owner' where not exists (select from pg_database where datname = 'arrakis') \gexec
revoke arrakis_owner from current_user;
