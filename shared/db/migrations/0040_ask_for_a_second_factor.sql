set local lock_timeout = '2s';

-- Second factors, one for a Discord user. A table of the platform: a person is the same in every community.
--
-- Row-level security shows only the row of the user that the transaction names, so no query, however wrong, reads another one.
create table mfa_enrolments (
    user_id bigint primary key check (user_id > 0),
    -- Nonce, ciphertext and tag of the secret; `key_id` names the key that encrypted it.
    secret bytea not null check (length(secret) between 28 and 200),
    key_id text not null check (key_id ~ '^[a-z0-9-]{1,32}$'),
    created_at timestamptz not null,
    -- When the first code was accepted. Without it there is no second factor yet.
    confirmed_at timestamptz,
    -- The step (number of 30 seconds since 1970) of the newest code that was accepted: only later ones are.
    last_step bigint check (last_step >= 0),
    -- SHA-256 hashes of the backup codes that were not used.
    backup_codes bytea[] not null default '{}' check (cardinality(backup_codes) <= 10),
    -- Wrong codes since the last accepted one.
    failures integer not null default 0 check (failures >= 0),
    throttled_until timestamptz,
    check ((confirmed_at is null) = (last_step is null)),
    check (confirmed_at is not null or backup_codes = '{}')
);
alter table mfa_enrolments enable row level security;
alter table mfa_enrolments force row level security;
create policy user_is_named on mfa_enrolments for all
    using (user_id = (select nullif(current_setting('app.mfa_user', true), '')::bigint))
    with check (user_id = (select nullif(current_setting('app.mfa_user', true), '')::bigint));
grant select, insert, update, delete on mfa_enrolments to arrakis_app, arrakis_admin;

-- Permissions to carry out one protected operation in a server once, given for an accepted code.
create table mfa_grants (
    community_id uuid not null references communities,
    grant_hash bytea not null check (length(grant_hash) = 32),
    user_id bigint not null check (user_id > 0),
    operation text not null check (operation ~ '^[a-z_]{1,40}$'),
    -- SHA-256 of what is carried out, such as a plan.
    plan_digest bytea not null check (length(plan_digest) = 32),
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    primary key (community_id, grant_hash),
    check (expires_at > created_at)
);
select protect_tenant_table('mfa_grants');
grant select, insert, update, delete on mfa_grants to arrakis_app, arrakis_admin;

-- The person to whom a key belongs: whose second factor protected operations with it need. Without one they are refused.
alter table api_keys add column user_id bigint check (user_id > 0);
alter table platform_api_keys add column user_id bigint check (user_id > 0);
