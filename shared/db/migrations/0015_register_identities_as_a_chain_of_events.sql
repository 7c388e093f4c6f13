-- The identity registry: which person has which accounts and wallets. docs/registry.md describes tables, events and hash.
--
-- identity_events is the truth: append-only, and each event has the hash of the one before it. user_identities and identity_wallets
-- are the state that follows from the events. The trigger apply_identity_event writes them and no login may, so that no application
-- changes the state without an event.
--
-- Platform tables without a tenant: an identity spans communities. Every login reads them in every transaction, since a member's
-- wallet, and whether the identity is suspended, count in each community that the person is a member of. What they hold is a Discord
-- or Telegram id, a name and public addresses, no secret, and of a signature only its digest.
-- The application's login inserts events of verification and expiry. Suspending, restoring and every other event of an operator take
-- the admin's login; events of the migration take the owner's or the admin's.

create table identity_events (
    sequence bigint primary key check (sequence > 0),
    event_id uuid not null unique,
    identity_id uuid not null,
    event_type text not null check (event_type in (
        'IDENTITY_CREATED', 'DISCORD_LINKED', 'TELEGRAM_LINKED', 'WALLET_VERIFIED', 'WALLET_REMOVED', 'WALLET_SET_PRIMARY',
        'IDENTITY_SUSPENDED', 'IDENTITY_RESTORED')),
    source text not null check (source in ('discord_verification', 'telegram_verification', 'admin', 'migration', 'expiry')),
    -- When it happened; never before the identity's previous event. A migrated event has the time of what it records.
    occurred_at timestamptz not null,
    -- When it was appended.
    recorded_at timestamptz not null,
    -- Canonical JSON, as bytes: jsonb reorders keys, and the hash is over what was written.
    payload bytea not null check (length(payload) between 2 and 8192),
    previous_hash bytea not null check (length(previous_hash) = 32),
    hash bytea not null check (length(hash) = 32)
);
create index identity_events_by_identity on identity_events (identity_id, sequence);
select make_append_only('identity_events');

-- The sequence number and hash of the last event. Appends lock its row, and therefore run one after the other.
create table identity_chain_head (
    singleton boolean primary key default true check (singleton),
    sequence bigint not null check (sequence >= 0),
    hash bytea not null check (length(hash) = 32)
);
insert into identity_chain_head (sequence, hash) values (0, decode(repeat('00', 32), 'hex'));

create table user_identities (
    identity_id uuid primary key,
    discord_user_id bigint unique check (discord_user_id > 0),
    telegram_user_id bigint unique check (telegram_user_id > 0),
    display_name text not null check (length(display_name) <= 200),
    -- As of the last event: a suspension whose end has passed is over, whether or not its event is written yet.
    status text not null check (status in ('active', 'suspended')),
    suspended_until timestamptz,
    created_at timestamptz not null,
    -- Time of the last event.
    updated_at timestamptz not null,
    check (suspended_until is null or status = 'suspended'),
    check (discord_user_id is not null or telegram_user_id is not null)
);
create index user_identities_newest_first on user_identities (created_at desc, identity_id desc);
create index user_identities_by_end_of_suspension on user_identities (suspended_until) where suspended_until is not null;

create table identity_wallets (
    -- The event that verified it, and the one that removed it.
    verified_event bigint primary key references identity_events,
    removed_event bigint references identity_events,
    identity_id uuid not null references user_identities,
    address text not null check (address ~ '^0x[0-9a-f]{40}$'),
    chain_id bigint not null check (chain_id > 0),
    is_primary boolean not null,
    source text not null,
    -- How the signature was checked, and its SHA-256. Null for a wallet that was migrated.
    signature_kind text check (signature_kind in ('eip191', 'erc1271', 'erc6492')),
    signature_digest bytea check (length(signature_digest) = 32),
    verified_at timestamptz not null,
    removed_at timestamptz,
    removed_reason text,
    check ((signature_kind is null) = (signature_digest is null)),
    check ((removed_at is null) = (removed_event is null)),
    check ((removed_at is null) = (removed_reason is null)),
    check (removed_at is null or not is_primary)
);
-- A wallet is one identity's at a time, on whatever chain it was verified.
create unique index identity_wallets_held_by_one on identity_wallets (address) where removed_at is null;
create unique index identity_wallets_one_primary on identity_wallets (identity_id) where is_primary;
create index identity_wallets_by_identity on identity_wallets (identity_id, verified_event);
create index identity_wallets_by_address on identity_wallets (address);

-- For reading by people. The bytes stay the truth.
create view identity_events_as_json with (security_invoker = true) as
    select sequence, event_id, identity_id, event_type, source, occurred_at, recorded_at,
           convert_from(payload, 'UTF8')::jsonb as payload, encode(hash, 'hex') as hash
      from identity_events;

-- SHA-256 over the fields, each after its length as four bytes. Integers are big-endian; times are microseconds since 1970.
create function identity_event_hash(event identity_events) returns bytea
    language sql stable
    set search_path = pg_catalog
as $$
    select sha256(string_agg(int4send(length(field)) || field, ''::bytea order by place))
      from unnest(array[
               convert_to('arrakis-identity-event-v1', 'UTF8'),
               int8send(event.sequence),
               uuid_send(event.event_id),
               uuid_send(event.identity_id),
               convert_to(event.event_type, 'UTF8'),
               convert_to(event.source, 'UTF8'),
               int8send((extract(epoch from event.occurred_at) * 1000000)::bigint),
               int8send((extract(epoch from event.recorded_at) * 1000000)::bigint),
               event.payload,
               event.previous_hash
           ]) with ordinality as fields (field, place)
$$;

-- Numbers, times and chains each event, whatever the statement says, and refuses a statement that says otherwise. The lock of the head
-- is held until the transaction ends, so the sequence has no gaps. Runs as the owner: the logins have no right to write the state.
create function chain_identity_event() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog
as $$
declare
    head record;
    -- session_user is the login, current_user the owner of this function.
    may_do_all constant boolean := exists (
        select from pg_roles where rolname = session_user and (rolsuper or rolbypassrls or rolname = current_user));
begin
    if not may_do_all and (
        new.source not in ('discord_verification', 'telegram_verification', 'expiry')
        or new.event_type = 'IDENTITY_SUSPENDED'
        or (new.event_type = 'IDENTITY_RESTORED') <> (new.source = 'expiry'))
    then
        raise exception 'the login % may not append % with the source %', session_user, new.event_type, new.source
            using errcode = 'insufficient_privilege';
    end if;
    -- Such an event would end a suspension early, and no event before it could follow.
    if new.occurred_at > clock_timestamp() + interval '5 minutes' then
        raise exception 'an event of identity % is in the future: %', new.identity_id, new.occurred_at
            using errcode = 'integrity_constraint_violation';
    end if;
    select sequence, hash into strict head from public.identity_chain_head for update;
    if new.sequence <> head.sequence + 1 or new.previous_hash <> head.hash then
        raise exception 'event % does not continue the chain, whose head is event %', new.sequence, head.sequence
            using errcode = 'integrity_constraint_violation';
    end if;
    new.sequence := head.sequence + 1;
    new.previous_hash := head.hash;
    new.recorded_at := clock_timestamp();
    if new.hash <> public.identity_event_hash(new) then
        raise exception 'the hash of event % is not that of its fields', new.sequence
            using errcode = 'integrity_constraint_violation';
    end if;
    new.hash := public.identity_event_hash(new);
    return new;
end
$$;

-- The state after an event. An event that does not follow from the state is refused; which ones do is written down a second time, in
-- shared/db/src/registry/replay.rs, and a test compares the two.
create function apply_identity_event() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog
as $$
declare
    payload constant jsonb := convert_from(new.payload, 'UTF8')::jsonb;
    wallet constant text := payload ->> 'address';
begin
    if new.event_type = 'IDENTITY_CREATED' then
        insert into public.user_identities
               (identity_id, discord_user_id, telegram_user_id, display_name, status, created_at, updated_at)
        values (new.identity_id, (payload ->> 'discord_user_id')::bigint, (payload ->> 'telegram_user_id')::bigint,
                payload ->> 'display_name', 'active', new.occurred_at, new.occurred_at);
    else
        update public.user_identities set updated_at = new.occurred_at
         where identity_id = new.identity_id and updated_at <= new.occurred_at;
        if not found then
            raise exception 'event %: the identity does not exist, or has a later event', new.sequence
                using errcode = 'integrity_constraint_violation';
        end if;
    end if;

    case new.event_type
    when 'IDENTITY_CREATED' then null;
    when 'DISCORD_LINKED' then
        update public.user_identities
           set discord_user_id = (payload ->> 'discord_user_id')::bigint, display_name = payload ->> 'display_name'
         where identity_id = new.identity_id and discord_user_id is null;
    when 'TELEGRAM_LINKED' then
        update public.user_identities set telegram_user_id = (payload ->> 'telegram_user_id')::bigint
         where identity_id = new.identity_id and telegram_user_id is null;
    when 'WALLET_VERIFIED' then
        if (payload ->> 'is_primary')::boolean then
            update public.identity_wallets set is_primary = false where identity_id = new.identity_id and is_primary;
        end if;
        insert into public.identity_wallets
               (verified_event, identity_id, address, chain_id, is_primary, source, signature_kind, signature_digest, verified_at)
        values (new.sequence, new.identity_id, wallet, (payload ->> 'chain_id')::bigint, (payload ->> 'is_primary')::boolean,
                new.source, payload ->> 'signature_kind', decode(payload ->> 'signature_digest', 'hex'),
                (payload ->> 'verified_at')::timestamptz);
    when 'WALLET_REMOVED' then
        update public.identity_wallets
           set is_primary = false, removed_event = new.sequence, removed_at = new.occurred_at, removed_reason = payload ->> 'reason'
         where identity_id = new.identity_id and address = wallet and removed_at is null;
    when 'WALLET_SET_PRIMARY' then
        update public.identity_wallets set is_primary = false where identity_id = new.identity_id and is_primary;
        update public.identity_wallets set is_primary = true
         where identity_id = new.identity_id and address = wallet and removed_at is null;
    when 'IDENTITY_SUSPENDED' then
        update public.user_identities
           set status = 'suspended', suspended_until = (payload ->> 'expires_at')::timestamptz
         where identity_id = new.identity_id;
    when 'IDENTITY_RESTORED' then
        update public.user_identities set status = 'active', suspended_until = null
         where identity_id = new.identity_id and status = 'suspended'
           and (new.source <> 'expiry' or suspended_until <= new.occurred_at);
    end case;
    if new.event_type <> 'IDENTITY_CREATED' and not found then
        raise exception 'event %: % does not follow from the state of the identity', new.sequence, new.event_type
            using errcode = 'integrity_constraint_violation';
    end if;

    update public.identity_chain_head set sequence = new.sequence, hash = new.hash;
    return null;
end
$$;

-- The head moves forwards only, by one, to an event that continues it.
create function guard_identity_chain_head() returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    if not exists (
        select from public.identity_events
         where sequence = new.sequence and hash = new.hash
           and sequence = old.sequence + 1 and previous_hash = old.hash)
    then
        raise exception 'the head of the chain of identity events moves only to the event after it'
            using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$;

create trigger chain_identity_event before insert on identity_events
    for each row execute function chain_identity_event();
create trigger apply_identity_event after insert on identity_events
    for each row execute function apply_identity_event();
alter table identity_events enable always trigger chain_identity_event;
alter table identity_events enable always trigger apply_identity_event;
create trigger guard_identity_chain_head before update on identity_chain_head
    for each row execute function guard_identity_chain_head();
create trigger refuse_rows before insert or delete on identity_chain_head
    for each row execute function refuse_change();
create trigger refuse_truncate before truncate on identity_chain_head
    for each statement execute function refuse_change();
alter table identity_chain_head enable always trigger guard_identity_chain_head;
alter table identity_chain_head enable always trigger refuse_rows;
alter table identity_chain_head enable always trigger refuse_truncate;
revoke all on function identity_event_hash(identity_events), chain_identity_event(), apply_identity_event(),
    guard_identity_chain_head() from public;

grant select on user_identities, identity_wallets, identity_events_as_json to arrakis_app, arrakis_admin;
grant select, insert on identity_events to arrakis_app, arrakis_admin;
-- update: only for the lock that SELECT … FOR UPDATE takes before an operation reads the state.
grant select, update on identity_chain_head to arrakis_app, arrakis_admin;
