-- Background work. docs/jobs.md has the state diagram. A row holds the facts; the message in the queue only wakes a worker.
create table jobs (
    community_id uuid not null references communities,
    -- kind and time slot, or kind and what asked for it: made by the caller, so that asking twice makes one job.
    job_id text not null check (length(job_id) between 1 and 200),
    kind text not null,
    state text not null default 'queued' check (state in ('queued', 'running', 'waiting', 'succeeded', 'failed')),
    payload jsonb not null default '{}',
    attempts integer not null default 0 check (attempts >= 0),
    progress_done integer not null default 0 check (progress_done >= 0),
    progress_total integer check (progress_total >= 0),
    error text,
    -- Not before this.
    due_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz not null default now(),
    primary key (community_id, job_id),
    check ((finished_at is not null) = (state in ('succeeded', 'failed'))),
    check (state <> 'failed' or error is not null)
);
create index jobs_due on jobs (community_id, due_at) where state in ('queued', 'waiting');
select protect_tenant_table('jobs');
grant select, insert, update, delete on jobs to arrakis_app, arrakis_admin;

-- The same for work that belongs to no tenant (the eligibility sync): a table of its own, so that the tenant table needs no
-- exception.
create table platform_jobs (
    job_id text primary key check (length(job_id) between 1 and 200),
    kind text not null,
    state text not null default 'queued' check (state in ('queued', 'running', 'waiting', 'succeeded', 'failed')),
    payload jsonb not null default '{}',
    attempts integer not null default 0 check (attempts >= 0),
    progress_done integer not null default 0 check (progress_done >= 0),
    progress_total integer check (progress_total >= 0),
    error text,
    due_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz not null default now(),
    check ((finished_at is not null) = (state in ('succeeded', 'failed'))),
    check (state <> 'failed' or error is not null)
);
create index platform_jobs_due on platform_jobs (due_at) where state in ('queued', 'waiting');
grant select, insert, update, delete on platform_jobs to arrakis_app, arrakis_admin;
