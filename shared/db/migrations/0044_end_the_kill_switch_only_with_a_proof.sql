set local lock_timeout = '2s';

-- The kill switch of the platform as events, append-only for every login. No login ends it by a row: an end has a proof by
-- KILL_SWITCH_CREDENTIAL, which the database does not have, and whoever reads the events checks it. `kill_switches` keeps the freezes of
-- communities, which only a trigger writes. A table of the platform: every transaction can read it, and it holds no secret.
create table kill_switch_events (
    event_id uuid primary key,
    is_on boolean not null,
    -- Milliseconds since 1970, or one more than the version that was known; the end of a version has the next one.
    version bigint not null check (version > 0),
    changed_by text not null check (length(changed_by) <= 100),
    reason text not null check (length(reason) <= 500),
    -- HMAC-SHA256 of an end.
    proof bytea check (length(proof) = 32),
    recorded_at timestamptz not null default clock_timestamp(),
    check (is_on = (proof is null))
);
create unique index kill_switch_events_on on kill_switch_events (version) where is_on;
create index kill_switch_events_ends on kill_switch_events (recorded_at) where not is_on;
select make_append_only('kill_switch_events');

-- What follows when the kill switch is turned on, until it succeeds: the workers repeat it, also after a restart.
create table kill_switch_steps (
    step text primary key check (step in ('sessions', 'signing')),
    -- Version of the newest entry that turned the kill switch on.
    version bigint not null,
    -- revoked: the sessions have ended, or the permissions to sign are revoked. restored: of permissions to sign, after the end.
    state text not null check (state in ('pending', 'revoked', 'restored')),
    changed_at timestamptz not null default clock_timestamp()
);
grant select, update on kill_switch_steps to arrakis_app, arrakis_admin;

-- A kill switch that is on stays on. An end needs no event: without one it is off.
insert into kill_switch_events (event_id, is_on, version, changed_by, reason)
select gen_random_uuid(), true, version, changed_by, reason
  from kill_switches
 where scope = 'platform' and is_on and version between 1 and (extract(epoch from clock_timestamp()) * 1000)::bigint + 86400000;
insert into kill_switch_steps (step, version, state)
select step, version, 'pending' from kill_switch_events, unnest(array['sessions', 'signing']) as step;

delete from kill_switches where scope = 'platform';
update kill_switches set version = (extract(epoch from clock_timestamp()) * 1000)::bigint
 where version > (extract(epoch from clock_timestamp()) * 1000)::bigint;
alter table kill_switches add constraint kill_switches_of_communities check (scope <> 'platform');
revoke insert, update on kill_switches from arrakis_app, arrakis_admin;

-- As in 0041; runs as the owner now, since no login may write the table.
create or replace function kill_switch_follows_the_freeze() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog
as $$
begin
    insert into public.kill_switches as stored (scope, is_on, version, changed_by, reason)
    select 'community:' || route.guild_id, new.frozen_at is not null,
           (extract(epoch from clock_timestamp()) * 1000)::bigint, '',
           case when new.controlled_by is null and starts_with(new.frozen_reason, 'teardown of the server') then 'teardown' else '' end
      from public.guild_routes route
     where route.community_id = new.community_id and route.guild_id = new.guild_id
    on conflict (scope) do update
       set is_on = excluded.is_on, version = greatest(excluded.version, stored.version + 1), reason = excluded.reason;
    return null;
end
$$;
revoke all on function kill_switch_follows_the_freeze() from public;

-- A version far in the future could not be followed by a higher one. An end may be further ahead than what it ends.
create function check_kill_switch_event() returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    new.recorded_at := clock_timestamp();
    if new.version > extract(epoch from new.recorded_at) * 1000 + (case when new.is_on then 86400000 else 172800000 end) then
        raise exception 'version % of the kill switch is too far in the future', new.version using errcode = 'check_violation';
    end if;
    return new;
end
$$;

-- Runs as the owner: no login may append a step.
create function begin_kill_switch_steps() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog
as $$
begin
    if new.is_on then
        insert into public.kill_switch_steps as stored (step, version, state)
        select step, new.version, 'pending' from unnest(array['sessions', 'signing']) as step
        on conflict (step) do update
           set version = excluded.version, state = 'pending', changed_at = clock_timestamp()
         where stored.version < excluded.version;
    end if;
    return null;
end
$$;

-- Checked at the commit: the transaction has written the entry of the audit log. Its time is that of the transaction, by which the index finds it.
create function audit_kill_switch_event() returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    if not exists (
        select from public.platform_audit_log
         where at = now() and xmin = pg_current_xact_id()::xid
           and action = case when new.is_on then 'kill_switch.on' else 'kill_switch.off' end)
    then
        raise exception 'the kill switch changes only with an entry in the audit log' using errcode = 'insufficient_privilege';
    end if;
    return null;
end
$$;

create trigger check_kill_switch_event before insert on kill_switch_events
    for each row execute function check_kill_switch_event();
create trigger begin_kill_switch_steps after insert on kill_switch_events
    for each row execute function begin_kill_switch_steps();
create constraint trigger audit_kill_switch_event after insert on kill_switch_events
    deferrable initially deferred for each row execute function audit_kill_switch_event();
alter table kill_switch_events enable always trigger check_kill_switch_event;
alter table kill_switch_events enable always trigger begin_kill_switch_steps;
alter table kill_switch_events enable always trigger audit_kill_switch_event;
revoke all on function check_kill_switch_event(), begin_kill_switch_steps(), audit_kill_switch_event() from public;

grant select, insert on kill_switch_events to arrakis_app, arrakis_admin;

-- Hashes of the backup codes that were used, of the present set: one that is sent again is a replay and no guess, which would be counted.
alter table mfa_enrolments add column used_backup_codes bytea[] not null default '{}' check (cardinality(used_backup_codes) <= 10);
