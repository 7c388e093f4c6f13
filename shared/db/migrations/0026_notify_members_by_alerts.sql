-- Alerts: members subscribe to notification events and receive them as direct messages. An event becomes one alert for each subscriber;
-- the alerts that are due for a member become one message.
set local lock_timeout = '2s';

-- A row stays when everything is off: it keeps quiet hours, time zone and the channel.
create table subscriptions (
    community_id uuid not null references communities,
    user_id bigint not null,
    kinds text[] not null check (kinds <@ array['rank', 'tier', 'waitlist', 'threshold']),
    delivery text not null check (delivery in ('at_once', 'digest')),
    -- Hours of the member's day; both or none.
    quiet_from smallint check (quiet_from between 0 and 23),
    quiet_to smallint check (quiet_to between 0 and 23),
    -- A name of the IANA database (Europe/Berlin), or an offset from UTC (UTC+02:00).
    time_zone text not null check (length(time_zone) between 1 and 64),
    digest_hour smallint not null check (digest_hour between 0 and 23),
    -- Since when anything is on: earlier events are no alerts.
    subscribed_at timestamptz not null default now(),
    -- The member's direct message channel, once it is open.
    dm_channel_id bigint check (dm_channel_id > 0),
    -- Since when Discord refuses direct messages to the member. Nothing is sent until the member uses `/alerts` again.
    closed_at timestamptz,
    updated_at timestamptz not null default now(),
    primary key (community_id, user_id),
    foreign key (community_id, user_id) references profiles on delete cascade,
    check ((quiet_from is null) = (quiet_to is null)),
    check (quiet_from is null or quiet_from <> quiet_to)
);
create index subscriptions_to_thresholds on subscriptions (community_id) where 'threshold' = any (kinds);
select protect_tenant_table('subscriptions');
grant select, insert, update on subscriptions to arrakis_app, arrakis_admin;

-- An event that a subscriber is to be notified of. The key makes it one alert for an event and a member.
create table alerts (
    community_id uuid not null references communities,
    user_id bigint not null,
    event_id text not null,
    kind text not null check (kind in ('rank', 'tier', 'waitlist', 'threshold')),
    -- Not sent before this. Postponed by quiet hours, and after an attempt that failed.
    due_at timestamptz not null,
    -- The message that contains it, set before the first attempt to send it.
    message_id uuid,
    -- sent; unknown: an attempt may have sent it, and Discord does not show whether it did; refused: by Discord; dropped: switched off or left before it was sent.
    outcome text check (outcome in ('sent', 'unknown', 'refused', 'dropped')),
    finished_at timestamptz,
    primary key (community_id, user_id, event_id),
    foreign key (community_id, user_id) references subscriptions on delete cascade,
    foreign key (community_id, event_id) references notification_events on delete cascade,
    check ((outcome is null) = (finished_at is null))
);
create index alerts_due on alerts (community_id, due_at, user_id) where outcome is null;
create index alerts_by_message on alerts (community_id, message_id) where message_id is not null;
-- Deletion of an event deletes its alerts.
create index alerts_by_event on alerts (community_id, event_id);
select protect_tenant_table('alerts');
grant select, insert, update on alerts to arrakis_app, arrakis_admin;

-- When the alerts of an event were created; null: not yet.
alter table notification_events add column dispatched_at timestamptz;
create index notification_events_to_dispatch on notification_events (community_id, created_at) where dispatched_at is null;
grant update on notification_events to arrakis_app, arrakis_admin;
