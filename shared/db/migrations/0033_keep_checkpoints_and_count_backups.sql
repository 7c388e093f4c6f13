set local lock_timeout = '2s';

-- Checkpoints: the configuration of a community at one time, from which it is restored after its server was torn down.
create table checkpoints (
    community_id uuid not null references communities,
    checkpoint_id uuid not null,
    -- Chosen by the caller: a repeated request stores no second checkpoint.
    request_id uuid not null,
    -- manual: on request; teardown: before a server is emptied; restore: what a restore replaced.
    purpose text not null check (purpose in ('manual', 'teardown', 'restore')),
    reason text,
    created_by text not null check (length(created_by) between 1 and 100),
    created_at timestamptz not null,
    expires_at timestamptz not null,
    -- JSON, as text: the checksum is of these bytes, and jsonb reorders keys.
    content text not null,
    -- SHA-256.
    checksum bytea not null check (length(checksum) = 32),
    primary key (community_id, checkpoint_id),
    unique (community_id, request_id),
    check (expires_at > created_at)
);
create index checkpoints_by_time on checkpoints (community_id, created_at desc);
select protect_tenant_table('checkpoints');
grant select, insert, delete on checkpoints to arrakis_app, arrakis_admin;

-- A restore of a checkpoint with its result: a repeated request returns it and restores nothing.
create table checkpoint_restores (
    community_id uuid not null,
    request_id uuid not null,
    checkpoint_id uuid not null,
    restored_by text not null check (length(restored_by) between 1 and 100),
    restored_at timestamptz not null,
    result jsonb not null,
    primary key (community_id, request_id),
    foreign key (community_id, checkpoint_id) references checkpoints on delete cascade
);
create index checkpoint_restores_by_checkpoint on checkpoint_restores (community_id, checkpoint_id);
select protect_tenant_table('checkpoint_restores');
grant select, insert on checkpoint_restores to arrakis_app, arrakis_admin;

-- Backups, restores and snapshots on request, which the free plan limits.
create table backup_uses (
    community_id uuid not null references communities,
    kind text not null check (kind in ('backup', 'restore', 'snapshot', 'snapshot-restore')),
    -- Chosen by the caller: a repeated request counts once.
    use_id uuid not null,
    used_by text not null check (length(used_by) between 1 and 100),
    used_at timestamptz not null,
    primary key (community_id, kind, use_id)
);
create index backup_uses_by_time on backup_uses (community_id, kind, used_at);
select protect_tenant_table('backup_uses');
-- delete: old rows are pruned.
grant select, insert, delete on backup_uses to arrakis_app, arrakis_admin;

-- Scopes of the routes of servers. A plan is set with a key for all communities only.
alter table api_keys drop constraint api_keys_scopes_check;
alter table api_keys add constraint api_keys_scopes_check check (
    cardinality(scopes) > 0
    and scopes <@ array['users:read', 'users:write', 'users:export', 'servers:read', 'servers:write']);
alter table platform_api_keys drop constraint platform_api_keys_scopes_check;
alter table platform_api_keys add constraint platform_api_keys_scopes_check check (
    cardinality(scopes) > 0
    and scopes <@ array['users:read', 'users:write', 'users:export', 'telegram', 'servers:read', 'servers:write', 'plans:write']);
