-- Keys of callers of the admin API. Only the SHA-256 hash of a key is stored: a key has 256 random bits, so a slow hash adds nothing.
-- A key of one community is a row of that tenant. The api finds a key by its hash with the admin login, before it has a tenant.
create table api_keys (
    community_id uuid not null references communities,
    key_id uuid not null,
    name text not null check (length(name) between 1 and 100),
    -- Shown in lists; not secret.
    prefix text not null check (length(prefix) between 1 and 40),
    secret_hash bytea not null check (length(secret_hash) = 32),
    scopes text[] not null check (cardinality(scopes) > 0 and scopes <@ array['users:read', 'users:write', 'users:export']),
    created_by text not null check (length(created_by) between 1 and 100),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    revoked_by text,
    -- Accurate to an hour: a write for each request would cost more than the request.
    last_used_at timestamptz,
    primary key (community_id, key_id),
    check ((revoked_at is null) = (revoked_by is null))
);
-- Unique in all tenants: nobody can choose a key with the hash of another tenant's.
create unique index api_keys_by_hash on api_keys (secret_hash);
select protect_tenant_table('api_keys');
grant select, insert, update on api_keys to arrakis_app, arrakis_admin;

-- The same for keys that are valid for all communities: a table of its own, to which the application's login has no right.
create table platform_api_keys (
    key_id uuid primary key,
    name text not null check (length(name) between 1 and 100),
    prefix text not null check (length(prefix) between 1 and 40),
    secret_hash bytea not null check (length(secret_hash) = 32),
    scopes text[] not null check (cardinality(scopes) > 0 and scopes <@ array['users:read', 'users:write', 'users:export']),
    created_by text not null check (length(created_by) between 1 and 100),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    revoked_by text,
    last_used_at timestamptz,
    check ((revoked_at is null) = (revoked_by is null))
);
create unique index platform_api_keys_by_hash on platform_api_keys (secret_hash);
grant select, insert, update on platform_api_keys to arrakis_admin;
