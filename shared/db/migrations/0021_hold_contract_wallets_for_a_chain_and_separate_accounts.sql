-- Two changes of the identity registry (docs/registry.md).
--
-- A wallet that a contract proved is held for its chain alone: who controls the contract at the same address of another chain may be
-- another person. A wallet that a key proved is held on every chain, and no one else holds its address. Rows without a signature
-- were migrated, and count as proved by a key.
--
-- The events DISCORD_UNLINKED and TELEGRAM_UNLINKED undo a join of two accounts. An identity keeps at least one account.
set local lock_timeout = '2s';

alter table identity_events drop constraint identity_events_event_type_check;
-- Validated in 0022: the check of the rows that exist does not need the lock of this statement.
alter table identity_events add constraint identity_events_event_type_check check (event_type in (
    'IDENTITY_CREATED', 'DISCORD_LINKED', 'TELEGRAM_LINKED', 'DISCORD_UNLINKED', 'TELEGRAM_UNLINKED', 'WALLET_VERIFIED',
    'WALLET_REMOVED', 'WALLET_SET_PRIMARY', 'IDENTITY_SUSPENDED', 'IDENTITY_RESTORED')) not valid;

-- The third rule, a key against a contract on another chain, is in the trigger: appends run one after the other.
create unique index identity_wallets_held_by_one_on_a_chain on identity_wallets (address, chain_id) where removed_at is null;
create unique index identity_wallets_key_held_by_one on identity_wallets (address)
    where removed_at is null and coalesce(signature_kind, 'eip191') = 'eip191';
drop index identity_wallets_held_by_one;

-- For the queries under the lock of the head: what they read does not grow with the wallets that were removed.
create index identity_wallets_held on identity_wallets (identity_id, verified_event) where removed_at is null;
create index identity_wallets_by_removal on identity_wallets (address, removed_at desc) where removed_at is not null;
-- Whether the accounts of an identity were joined or separated.
create index identity_events_of_accounts on identity_events (identity_id, sequence)
    where event_type in ('DISCORD_LINKED', 'TELEGRAM_LINKED', 'DISCORD_UNLINKED', 'TELEGRAM_UNLINKED');
-- When accounts were separated last.
create index identity_events_of_separations on identity_events (occurred_at)
    where event_type in ('DISCORD_UNLINKED', 'TELEGRAM_UNLINKED');

-- As in 0015, with the two events, the check of a verified wallet, and one primary wallet where an address is held on several chains.
create or replace function apply_identity_event() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog
as $$
declare
    payload constant jsonb := convert_from(new.payload, 'UTF8')::jsonb;
    wallet constant text := payload ->> 'address';
    by_key constant boolean := coalesce(payload ->> 'signature_kind', 'eip191') = 'eip191';
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
    when 'DISCORD_UNLINKED' then
        update public.user_identities set discord_user_id = null, display_name = payload ->> 'display_name'
         where identity_id = new.identity_id and discord_user_id = (payload ->> 'discord_user_id')::bigint
           and telegram_user_id is not null;
    when 'TELEGRAM_UNLINKED' then
        update public.user_identities set telegram_user_id = null
         where identity_id = new.identity_id and telegram_user_id = (payload ->> 'telegram_user_id')::bigint
           and discord_user_id is not null;
    when 'WALLET_VERIFIED' then
        if exists (select from public.identity_wallets held
                    where held.address = wallet and held.removed_at is null
                      and (by_key or coalesce(held.signature_kind, 'eip191') = 'eip191'
                           or held.chain_id = (payload ->> 'chain_id')::bigint))
        then
            raise exception 'event %: the wallet % is held', new.sequence, wallet using errcode = 'unique_violation';
        end if;
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
         where verified_event = (select min(verified_event) from public.identity_wallets
                                  where identity_id = new.identity_id and address = wallet and removed_at is null);
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
