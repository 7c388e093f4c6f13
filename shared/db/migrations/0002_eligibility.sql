-- Who holds what: chain data, the same for every community, so no tenant column and no row-level security.
-- Amounts are raw units of 18 decimals (a token of other decimals is scaled on reading). numeric(78,0) holds 256 bits.
-- Addresses are lower-case hex: EIP-55's mixed case is a checksum for typists, not part of the address.

create table token_profiles (
    token_profile_id text primary key check (token_profile_id ~ '^[a-z][a-z0-9_-]{0,49}$'),
    name text not null,
    symbol text not null,
    chain_id bigint not null check (chain_id > 0),
    contract text not null check (contract ~ '^0x[0-9a-f]{40}$'),
    decimals smallint not null check (decimals between 0 and 36),
    -- Which logs add to a holding and which subtract; null means any sender (an ordinary transfer).
    claims_from text check (claims_from ~ '^0x[0-9a-f]{40}$'),
    burns_to text check (burns_to ~ '^0x[0-9a-f]{40}$'),
    start_block bigint not null default 0 check (start_block >= 0),
    created_at timestamptz not null default now()
);

-- The ranking as of the last sync; replaced as a whole in one transaction.
create table eligibility_current (
    token_profile_id text not null references token_profiles,
    address text not null check (address ~ '^0x[0-9a-f]{40}$'),
    -- The best is 1. Ties rank by who got there first, so no two share one.
    rank integer not null check (rank > 0),
    held numeric(78, 0) not null check (held >= 0),
    -- Zone of the rank: council 1-7, eligible to 69, waitlist to 100.
    role text not null check (role in ('council', 'eligible', 'waitlist', 'outside')),
    primary key (token_profile_id, address),
    unique (token_profile_id, rank)
);

create table eligibility_snapshots (
    token_profile_id text not null references token_profiles,
    snapshot_id uuid not null,
    taken_at timestamptz not null,
    -- The finalised block up to which logs were read.
    block_number bigint not null check (block_number >= 0),
    holders integer not null check (holders >= 0),
    -- The ranking as an array of {"address","rank","held"}, held in raw units as text, cut after the last rank that any
    -- rule looks at.
    ranking jsonb not null,
    primary key (token_profile_id, snapshot_id)
);
create index on eligibility_snapshots (token_profile_id, taken_at desc);

create table eligibility_admin_overrides (
    token_profile_id text not null references token_profiles,
    override_id uuid not null,
    address text not null check (address ~ '^0x[0-9a-f]{40}$'),
    effect text not null check (effect in ('add', 'remove')),
    reason text not null,
    created_by text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    primary key (token_profile_id, override_id)
);
-- One override of an address at a time.
create unique index on eligibility_admin_overrides (token_profile_id, address) where revoked_at is null;

create table eligibility_health_status (
    token_profile_id text primary key references token_profiles,
    last_attempt_at timestamptz,
    last_success_at timestamptz,
    last_block bigint check (last_block >= 0),
    consecutive_failures integer not null default 0 check (consecutive_failures >= 0),
    last_error text
);

create table wallet_verifications (
    token_profile_id text not null references token_profiles,
    verification_id uuid not null,
    address text not null check (address ~ '^0x[0-9a-f]{40}$'),
    discord_user_id bigint not null check (discord_user_id > 0),
    verified_at timestamptz not null,
    removed_at timestamptz,
    primary key (token_profile_id, verification_id)
);
-- A wallet is one person's at a time.
create unique index on wallet_verifications (token_profile_id, address) where removed_at is null;
create index on wallet_verifications (discord_user_id);

create table eligibility_claim_events (
    token_profile_id text not null references token_profiles,
    block_number bigint not null check (block_number >= 0),
    log_index integer not null check (log_index >= 0),
    block_hash bytea not null check (length(block_hash) = 32),
    transaction_hash bytea not null check (length(transaction_hash) = 32),
    address text not null check (address ~ '^0x[0-9a-f]{40}$'),
    amount numeric(78, 0) not null check (amount >= 0),
    primary key (token_profile_id, block_number, log_index)
);
create index on eligibility_claim_events (token_profile_id, address);

create table eligibility_burn_events (
    token_profile_id text not null references token_profiles,
    block_number bigint not null check (block_number >= 0),
    log_index integer not null check (log_index >= 0),
    block_hash bytea not null check (length(block_hash) = 32),
    transaction_hash bytea not null check (length(transaction_hash) = 32),
    address text not null check (address ~ '^0x[0-9a-f]{40}$'),
    amount numeric(78, 0) not null check (amount >= 0),
    primary key (token_profile_id, block_number, log_index)
);
create index on eligibility_burn_events (token_profile_id, address);

grant select, insert, update on token_profiles, eligibility_health_status, eligibility_admin_overrides, wallet_verifications
    to arrakis_app, arrakis_admin;
-- delete: the ranking is replaced as a whole, snapshots and reorganised logs are pruned.
grant select, insert, update, delete
    on eligibility_current, eligibility_snapshots, eligibility_claim_events, eligibility_burn_events
    to arrakis_app, arrakis_admin;
