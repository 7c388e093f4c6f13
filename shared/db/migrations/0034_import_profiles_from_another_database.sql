set local lock_timeout = '2s';

-- Imports of profiles from another database (docs/moving-in.md). An import is written in pages, each in a transaction with its rows here,
-- so that a further run continues where one ended. The rows have what an undo restores.
create table profile_imports (
    community_id uuid not null references communities,
    import_id uuid not null,
    -- running and undoing: a further run continues it.
    state text not null default 'running' check (state in ('running', 'completed', 'undoing', 'undone')),
    -- SHA-256 of the content of the source: what is imported, not how its file stores it.
    content bytea not null check (length(content) = 32),
    file_name text not null check (length(file_name) between 1 and 1000),
    members integer not null check (members >= 0),
    started_by text not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    primary key (community_id, import_id),
    check ((finished_at is null) = (state in ('running', 'undoing')))
);
-- One at a time.
create unique index profile_imports_open_once on profile_imports (community_id) where state in ('running', 'undoing');
select protect_tenant_table('profile_imports');
grant select on profile_imports to arrakis_app;
grant select, insert, update on profile_imports to arrakis_admin;

-- One row for each member of an import, until it is undone.
create table profile_import_members (
    community_id uuid not null,
    import_id uuid not null,
    user_id bigint not null check (user_id > 0),
    -- The profile before the import; null: the member had none.
    previous jsonb,
    -- The profile as the import wrote it.
    imported jsonb not null,
    -- SHA-256 of the member's rows, as they were read after they were written.
    checksum bytea not null check (length(checksum) = 32),
    -- What the import added beside the profile.
    badge_ids uuid[] not null,
    tiers text[] not null,
    days date[] not null,
    -- The event that verified the wallet; null: the import verified none.
    wallet text check (wallet ~ '^0x[0-9a-f]{40}$'),
    verified_event bigint,
    primary key (community_id, import_id, user_id),
    foreign key (community_id, import_id) references profile_imports on delete cascade,
    check ((wallet is null) = (verified_event is null))
);
select protect_tenant_table('profile_import_members');
grant select on profile_import_members to arrakis_app;
grant select, insert, delete on profile_import_members to arrakis_admin;

-- For an undo, and for rule badges in whose place an import puts the member's own.
grant delete on badges, tiers_reached to arrakis_admin;

-- Appends events in the order of the arrays, each by a statement of its own: a trigger moves the head of the chain at the end of the
-- statement, so that a statement with two events would give both the same number. Returns the number of the last one.
create function append_identity_events(
    event_ids uuid[], identity_ids uuid[], event_types text[], sources text[], times timestamptz[], payloads bytea[])
    returns bigint
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    last bigint;
begin
    for place in 1 .. coalesce(array_length(event_ids, 1), 0) loop
        insert into public.identity_events (event_id, identity_id, event_type, source, occurred_at, payload)
        values (event_ids[place], identity_ids[place], event_types[place], sources[place], times[place], payloads[place])
        returning sequence into last;
    end loop;
    return last;
end
$$;
revoke all on function append_identity_events(uuid[], uuid[], text[], text[], timestamptz[], bytea[]) from public;
grant execute on function append_identity_events(uuid[], uuid[], text[], text[], timestamptz[], bytea[]) to arrakis_admin;
