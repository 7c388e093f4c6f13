set local lock_timeout = '2s';

-- Whether the bot is in the server of a community, as events and responses of Discord show it. Without a row it is.
create table bot_presence (
    community_id uuid primary key references communities,
    -- Since when it is not; null while it is.
    absent_since timestamptz,
    -- Time of the newest event or response that showed it: an older one changes nothing.
    seen_at timestamptz not null,
    check (absent_since <= seen_at)
);
select protect_tenant_table('bot_presence');
grant select, insert, update on bot_presence to arrakis_app, arrakis_admin;

-- Since when a task of the scheduled backups of a community is due without a completed run. Without a row it is not due. It is not the slot:
-- a server whose plan has the task since a minute ago is due for a slot before that.
create table backup_due (
    community_id uuid not null references communities,
    task text not null check (task in ('backup', 'snapshot', 'retention')),
    due_since timestamptz not null,
    primary key (community_id, task)
);
select protect_tenant_table('backup_due');
grant select, insert, delete on backup_due to arrakis_app, arrakis_admin;

-- Notices to the operators of the platform that are not sent yet, one row for each destination.
create table operator_notices (
    community_id uuid not null references communities,
    -- Kind and cause: the same notice is stored once.
    notice_id text not null,
    destination text not null check (destination in ('webhook', 'sns')),
    notice jsonb not null,
    created_at timestamptz not null,
    -- Set before it is sent, and not sent again while it is set: a process that was killed may have sent it.
    taken_at timestamptz,
    primary key (community_id, notice_id, destination)
);
select protect_tenant_table('operator_notices');
grant select, insert, update, delete on operator_notices to arrakis_app, arrakis_admin;
