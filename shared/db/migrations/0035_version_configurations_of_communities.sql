set local lock_timeout = '2s';

-- The running configuration of a community: a version for each change, in the transaction of the change. shadowed_at is null until the
-- object store has the version, so that the row is also the request to write it there.
create table configuration_versions (
    community_id uuid not null references communities,
    version integer not null check (version > 0),
    -- What changed it: deploy, apply, theme, rules, gates, …
    cause text not null check (cause ~ '^[a-z][a-z-]{0,29}$'),
    recorded_by text not null check (length(recorded_by) between 1 and 200),
    recorded_at timestamptz not null,
    -- JSON, as text: the checksum is of these bytes, and jsonb reorders keys.
    content text not null,
    -- SHA-256.
    checksum bytea not null check (length(checksum) = 32),
    shadowed_at timestamptz,
    primary key (community_id, version)
);
create index configuration_versions_to_shadow on configuration_versions (community_id, version) where shadowed_at is null;
select protect_tenant_table('configuration_versions');
grant select, insert, update, delete on configuration_versions to arrakis_app, arrakis_admin;

-- The result of the leader's last comparison of versions with the object store, for /health of every worker. A platform table without a
-- tenant: it has counts and ids of servers, which guild_routes shows to all.
create table configuration_shadow_health (
    singleton boolean primary key default true check (singleton),
    checked_at timestamptz not null,
    -- Versions that the store does not have yet.
    pending integer not null check (pending >= 0),
    -- An array of {"server", "problem"}: shadows that are damaged or differ. At most 20.
    problems jsonb not null,
    -- All of them.
    problem_count integer not null check (problem_count >= 0),
    -- Why the store could not be used; null: it could.
    error text
);
grant select, insert, update on configuration_shadow_health to arrakis_app;
