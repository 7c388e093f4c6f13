-- The eligibility sync: what of a token counts, how far its chain was read, what a new ranking changed, and what members are notified
-- of. The event tables hold raw units as the chain reports them; eligibility_current holds amounts of 18 decimals.
set local lock_timeout = '2s';

-- standard: null in rows of the previous build, which are `bgt` with claims_from or burns_to and `erc20` without.
-- token_ids: the ids that count; null means all. Only ERC-721 and ERC-1155 have ids.
alter table token_profiles
    add column standard text,
    add column token_ids numeric(78, 0)[],
    add constraint token_profiles_standard check (standard in ('bgt', 'erc20', 'erc721', 'erc1155')) not valid,
    add constraint token_profiles_bgt_has_addresses
        check (standard is null or (standard = 'bgt') = (claims_from is not null and burns_to is not null)) not valid,
    add constraint token_profiles_only_bgt_has_addresses
        check (standard is null or standard = 'bgt' or (claims_from is null and burns_to is null)) not valid,
    add constraint token_profiles_nft_has_no_decimals
        check (standard is null or standard not in ('erc721', 'erc1155') or decimals = 0) not valid,
    add constraint token_profiles_ids_of_nfts
        check (token_ids is null or (standard in ('erc721', 'erc1155') and cardinality(token_ids) between 1 and 10000)) not valid;

-- Of the last sync: wallets whose holding differed from the chain's balance, and the chain's finalised block.
alter table eligibility_health_status
    add column mismatches integer not null default 0,
    add column finalized_block bigint,
    add constraint eligibility_health_status_mismatches check (mismatches >= 0) not valid,
    add constraint eligibility_health_status_finalized_block check (finalized_block >= 0) not valid;

-- How far the logs of a profile were read. Every write of a sync names its run and the next block: when another run has begun, it
-- changes nothing, and the earlier run ends.
create table eligibility_sync_cursors (
    token_profile_id text primary key references token_profiles,
    next_block bigint not null check (next_block >= 0),
    run_id uuid not null,
    updated_at timestamptz not null default now()
);

-- The end block of each batch that was read, to detect a reorganisation and to find the last block before it. Pruned.
create table eligibility_sync_blocks (
    token_profile_id text not null references token_profiles,
    block_number bigint not null check (block_number >= 0),
    block_hash bytea not null check (length(block_hash) = 32),
    primary key (token_profile_id, block_number)
);

-- Wallets whose zone of the ranking changed with a snapshot. A wallet has a row for each kind.
create table eligibility_changes (
    token_profile_id text not null,
    snapshot_id uuid not null,
    address text not null check (address ~ '^0x[0-9a-f]{40}$'),
    kind text not null check (kind in ('added', 'removed', 'became_eligible', 'lost_eligibility', 'promoted_to_council',
                                       'demoted_from_council', 'entered_waitlist', 'left_waitlist')),
    rank_before integer check (rank_before > 0),
    rank_after integer check (rank_after > 0),
    held_before numeric(78, 0) check (held_before >= 0),
    held_after numeric(78, 0) check (held_after >= 0),
    primary key (token_profile_id, snapshot_id, address, kind),
    foreign key (token_profile_id, snapshot_id) references eligibility_snapshots on delete cascade,
    check (rank_before is not null or rank_after is not null),
    check ((rank_before is null) = (held_before is null) and (rank_after is null) = (held_after is null))
);

-- What members may be notified of; written in the transaction of its cause. event_id names the cause, so that repeating it writes
-- nothing.
create table notification_events (
    community_id uuid not null references communities,
    event_id text not null check (length(event_id) between 1 and 200),
    kind text not null check (kind in ('rank', 'zone', 'threshold', 'tier')),
    -- The member concerned; null: the whole community.
    user_id bigint,
    payload jsonb not null,
    created_at timestamptz not null default now(),
    primary key (community_id, event_id),
    foreign key (community_id, user_id) references profiles on delete cascade,
    check ((user_id is null) = (kind = 'threshold'))
);
create index on notification_events (community_id, created_at);
select protect_tenant_table('notification_events');

grant select, insert, update on eligibility_sync_cursors to arrakis_app, arrakis_admin;
-- delete: reorganised and old blocks.
grant select, insert, update, delete on eligibility_sync_blocks to arrakis_app, arrakis_admin;
-- delete: old events are pruned. Changes are deleted with their snapshot, which needs no right on them.
grant select, insert, delete on notification_events to arrakis_app, arrakis_admin;
grant select, insert on eligibility_changes to arrakis_app, arrakis_admin;
