set local lock_timeout = '2s';

-- The desired server of a community. A change is a new version; the greatest version is in force.
create table manifests (
    community_id uuid not null references communities,
    version integer not null check (version > 0),
    manifest jsonb not null,
    -- The member or process that changed it.
    created_by text not null,
    created_at timestamptz not null default now(),
    primary key (community_id, version)
);
select protect_tenant_table('manifests');
grant select, insert on manifests to arrakis_app, arrakis_admin;

-- The state of a server as code: which address has which Discord id. One job at a time holds it; the attempt is the fencing token, so
-- that an attempt that hung cannot write over its successor's state.
create table shadow_states (
    community_id uuid primary key references communities,
    -- Null before the first write.
    state jsonb,
    holder_job text,
    holder_attempt integer,
    held_until timestamptz,
    updated_at timestamptz not null default now(),
    check ((holder_job is null) = (holder_attempt is null) and (holder_job is null) = (held_until is null))
);
select protect_tenant_table('shadow_states');
grant select, insert, update on shadow_states to arrakis_app, arrakis_admin;

-- As many jobs of the kind synthesis run at once as there are rows. A slot of a process that died is free from held_until on.
create table synthesis_slots (
    slot smallint primary key,
    holder text unique,
    held_until timestamptz,
    check ((holder is null) = (held_until is null))
);
insert into synthesis_slots (slot) select generate_series(1, 5);
grant select, update on synthesis_slots to arrakis_app;
