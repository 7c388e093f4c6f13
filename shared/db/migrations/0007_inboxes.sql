-- Events whose effects are done. The row is written in the transaction of the effect, so both happen or neither.
-- A tenant table: the snowflake of an interaction can be guessed, and in one shared table a tenant's transaction could claim
-- another's event or learn of it by the violation.
create table inbox (
    community_id uuid not null references communities,
    event_id text not null check (length(event_id) between 1 and 100),
    claimed_at timestamptz not null default now(),
    primary key (community_id, event_id)
);
create index inbox_by_age on inbox (community_id, claimed_at);
select protect_tenant_table('inbox');
grant select, insert, delete on inbox to arrakis_app, arrakis_admin;

-- Events of servers that are not onboarded, and of none.
create table platform_inbox (
    event_id text primary key check (length(event_id) between 1 and 100),
    claimed_at timestamptz not null default now()
);
create index platform_inbox_by_age on platform_inbox (claimed_at);
grant select, insert, delete on platform_inbox to arrakis_app, arrakis_admin;
