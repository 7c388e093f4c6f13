set local lock_timeout = '2s';

-- What a reconcile found and repaired. Kept as long as the job's row.
create table reconcile_reports (
    community_id uuid not null references communities,
    job_id text not null check (length(job_id) between 1 and 200),
    finished_at timestamptz not null,
    report jsonb not null,
    primary key (community_id, job_id)
);
create index reconcile_reports_by_time on reconcile_reports (community_id, finished_at);
select protect_tenant_table('reconcile_reports');
grant select, insert, update, delete on reconcile_reports to arrakis_app, arrakis_admin;

-- A change of the rule set that an admin has confirmed. Until effective_at the rules before it are in force.
create table rule_changes (
    community_id uuid not null references communities,
    change_id uuid not null,
    rule_set text not null,
    requested_by bigint not null check (requested_by > 0),
    requested_at timestamptz not null,
    effective_at timestamptz not null,
    state text not null default 'announced' check (state in ('announced', 'applied', 'cancelled', 'replaced')),
    primary key (community_id, change_id),
    check (effective_at >= requested_at)
);
-- One change is pending at a time: a second one replaces it.
create unique index rule_changes_pending_once on rule_changes (community_id) where state = 'announced';
select protect_tenant_table('rule_changes');
grant select, insert, update on rule_changes to arrakis_app, arrakis_admin;
