set local lock_timeout = '2s';

-- The share of servers whose events the stable workers hand over to the canary workers (docs/safe-change.md). A table of the platform: it says
-- nothing about a community. One row, so that a change of it is one update, which every worker reads within a second.
create table rollouts (
    name text primary key check (name = 'canary'),
    share smallint not null check (share between 0 and 100),
    changed_by text not null check (length(changed_by) between 1 and 100),
    reason text not null check (length(reason) between 1 and 500),
    changed_at timestamptz not null default now()
);
insert into rollouts (name, share, changed_by, reason) values ('canary', 0, 'migration', 'there is no canary');
-- Workers read the share; only operators change it.
grant select on rollouts to arrakis_app;
grant select, update on rollouts to arrakis_admin;

-- When a canary worker last reported that it serves; nothing is handed over to workers that do not.
create table rollout_reports (
    name text primary key check (name = 'canary'),
    seen_at timestamptz
);
insert into rollout_reports (name) values ('canary');
grant select, update on rollout_reports to arrakis_app, arrakis_admin;
