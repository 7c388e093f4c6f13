-- Notices: what the service for Telegram is to show an account, because something happened outside of its chat: a signature on the wallet
-- page, a request for a wallet, a joined account. A table of the platform: a Telegram account belongs to no community. A row is written
-- in the transaction of what it reports, read by `arrakis-telegram` through the api, and deleted once it is shown. It has no secret.
set local lock_timeout = '2s';

create table telegram_notices (
    notice_id uuid primary key,
    telegram_user_id bigint not null check (telegram_user_id > 0),
    payload jsonb not null,
    created_at timestamptz not null,
    -- A notice is not shown later than this: the question of a session that has ended is of no use.
    expires_at timestamptz not null,
    -- Until when the process that took it is to show it; then another one may.
    taken_until timestamptz,
    check (expires_at > created_at)
);
create index telegram_notices_in_order on telegram_notices (created_at, notice_id);
create index telegram_notices_by_end on telegram_notices (expires_at);
grant select, insert, update, delete on telegram_notices to arrakis_app;

alter table identity_events validate constraint identity_events_event_type_check;

-- The scope of the service for Telegram. A key with it is valid for all communities; no key of one community may have it.
alter table platform_api_keys drop constraint platform_api_keys_scopes_check;
alter table platform_api_keys add constraint platform_api_keys_scopes_check check (
    cardinality(scopes) > 0 and scopes <@ array['users:read', 'users:write', 'users:export', 'telegram']);
