-- The eligibility sync of tokens with many holders: the holding of each wallet is kept while logs are stored, so that no statement sums
-- all events; events are deleted in steps; and the ranking marks wallets whose eligible rank is by an override alone.
set local lock_timeout = '2s';

-- Claims without burns of each wallet, over the events before eligibility_sync_cursors.held_block.
create table eligibility_holdings (
    token_profile_id text not null references token_profiles,
    address text not null check (address ~ '^0x[0-9a-f]{40}$'),
    -- Raw units. Negative: more burns than claims, so logs are missing. Without a precision: forged logs may exceed 256 bits.
    amount numeric not null check (amount = trunc(amount)),
    -- The log that changed it last.
    since_block bigint not null check (since_block >= 0),
    since_log_index integer not null check (since_log_index >= 0),
    primary key (token_profile_id, address)
);
-- delete: wallets whose events were reorganised, and all when a profile counts other logs.
grant select, insert, update, delete on eligibility_holdings to arrakis_app, arrakis_admin;

-- held_block: the holdings are those of the events before this block; null: there are none yet, and rows that exist are of no use.
-- roll_back_to: the events from this block on are no longer part of the chain, and are being deleted; null: no events are.
-- finalized_block: the chain's finalised block when a sync last read it.
alter table eligibility_sync_cursors
    add column held_block bigint,
    add column roll_back_to bigint,
    add column finalized_block bigint;

-- The previous build moves next_block and leaves the new columns as they are. When it has rolled back, the holdings include events that
-- were deleted; when it has stored logs in the middle of a rollback, it has deleted the events itself. Both are counted anew.
create function eligibility_holdings_follow_the_cursor() returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    if old.roll_back_to is not null and new.roll_back_to is not null and new.next_block > old.next_block then
        new.roll_back_to := null;
        new.held_block := null;
    end if;
    if new.held_block > new.next_block and new.roll_back_to is null then
        new.held_block := null;
    end if;
    return new;
end
$$;
revoke all on function eligibility_holdings_follow_the_cursor() from public;
create trigger eligibility_holdings_follow_the_cursor
    before update of next_block on eligibility_sync_cursors
    for each row execute function eligibility_holdings_follow_the_cursor();

-- Whether the wallet has its eligible rank by an override alone: then its holding is no entry threshold.
alter table eligibility_current add column by_override boolean not null default false;
