set local lock_timeout = '2s';

-- Scheduled backups: the last run of each task of a community. Without a row the task has never run. The store has a copy of the
-- completed slots (metadata/{server}/backup-schedule.json).
create table backup_runs (
    community_id uuid not null references communities,
    task text not null check (task in ('backup', 'snapshot', 'retention')),
    -- The time at which the last completed run was due.
    completed_slot timestamptz,
    last_success_at timestamptz,
    last_attempt_at timestamptz not null,
    consecutive_failures integer not null default 0 check (consecutive_failures >= 0),
    -- Of the last run, if it failed.
    last_error text,
    primary key (community_id, task),
    check ((completed_slot is null) = (last_success_at is null)),
    check ((consecutive_failures = 0) = (last_error is null))
);
select protect_tenant_table('backup_runs');
grant select, insert, update on backup_runs to arrakis_app, arrakis_admin;
