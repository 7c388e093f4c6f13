-- Posts: what the bot writes into channels of the server on its own. The theme names the channels; each post can be switched off.
set local lock_timeout = '2s';

-- State of a post. Without a row it is on and was never written.
create table posts (
    community_id uuid not null references communities,
    post text not null check (post in ('leaderboard', 'arrivals', 'digest')),
    enabled boolean not null default true,
    channel_id bigint check (channel_id > 0),
    -- Of the leaderboard: the message that is edited.
    message_id bigint check (message_id > 0),
    -- Names the message that is being created; the same in each attempt.
    attempt_id uuid,
    -- Hash of what the message shows, so that the same is not written again.
    content_hash bigint,
    -- Of the digest: the last week that is done, such as 2026-W48.
    period text,
    -- When the post was last compared or written.
    checked_at timestamptz,
    primary key (community_id, post)
);
select protect_tenant_table('posts');
grant select, insert, update on posts to arrakis_app, arrakis_admin;

-- Joins and departures that are posted in batches. event_id is that of the gateway event.
create table arrivals (
    community_id uuid not null,
    event_id text not null check (length(event_id) between 1 and 100),
    user_id bigint not null,
    display_name text not null,
    joined boolean not null,
    at timestamptz not null default now(),
    -- The message that contains it, set before the first attempt to send it.
    message_id uuid,
    posted_at timestamptz,
    primary key (community_id, event_id),
    foreign key (community_id, user_id) references profiles on delete cascade
);
create index arrivals_to_post on arrivals (community_id, at) where posted_at is null;
create index arrivals_by_message on arrivals (community_id, message_id) where message_id is not null;
-- Deletion of a profile deletes its arrivals.
create index arrivals_by_member on arrivals (community_id, user_id);
select protect_tenant_table('arrivals');
-- delete: old rows are pruned.
grant select, insert, update, delete on arrivals to arrakis_app, arrakis_admin;

-- The digest reads the badges that were awarded within a week.
create index badges_by_award on badges (community_id, awarded_at) where revoked_at is null;
