create table audit_log (
    community_id uuid not null references communities,
    entry_id uuid not null,
    at timestamptz not null default now(),
    actor_kind text not null check (actor_kind in ('member', 'operator', 'system')),
    -- A Discord user id, an operator's name, or the part of the system that acted.
    actor text not null,
    action text not null check (action ~ '^[a-z][a-z_]*(\.[a-z][a-z_]*)+$'),
    subject text not null,
    reason text,
    detail jsonb not null default '{}',
    primary key (community_id, entry_id)
);
create index audit_log_by_time on audit_log (community_id, at desc);
select protect_tenant_table('audit_log');
select make_append_only('audit_log');
grant select, insert on audit_log to arrakis_app, arrakis_admin;

create table platform_audit_log (
    entry_id uuid primary key,
    at timestamptz not null default now(),
    actor_kind text not null check (actor_kind in ('member', 'operator', 'system')),
    actor text not null,
    action text not null check (action ~ '^[a-z][a-z_]*(\.[a-z][a-z_]*)+$'),
    subject text not null,
    reason text,
    detail jsonb not null default '{}'
);
create index platform_audit_log_by_time on platform_audit_log (at desc);
select make_append_only('platform_audit_log');
grant select, insert on platform_audit_log to arrakis_app, arrakis_admin;
