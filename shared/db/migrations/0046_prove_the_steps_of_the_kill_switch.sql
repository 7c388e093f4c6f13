set local lock_timeout = '2s';

-- What the kill switch has revoked counts only with a proof by KILL_SWITCH_CREDENTIAL, as its end does: a login that stores `revoked` for a step that
-- failed does not stop the workers from repeating it. Each version has rows of its own, so a row that a login locks or has changed does not
-- delay or hide the steps of the next kill switch.
alter table kill_switch_steps drop constraint kill_switch_steps_pkey;
alter table kill_switch_steps add primary key (step, version);
alter table kill_switch_steps add column proof bytea check (length(proof) = 32);

-- Versions that a login has written: the newest kill switch begins its steps again.
delete from kill_switch_steps stored
 where not exists (select from kill_switch_events where is_on and version = stored.version);
insert into kill_switch_steps (step, version, state)
select wanted.step, newest.version, 'pending'
  from (select max(version) as version from kill_switch_events where is_on) newest, unnest(array['sessions', 'signing']) as wanted (step)
 where newest.version is not null and not exists (select from kill_switch_steps known where known.step = wanted.step);

-- No login changes a version, and none may lock the table, which takes the right to change whole rows.
revoke update on kill_switch_steps from arrakis_app, arrakis_admin;
grant update (state, proof, changed_at) on kill_switch_steps to arrakis_app, arrakis_admin;

-- As in 0044, with rows of its own for each version.
create or replace function begin_kill_switch_steps() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog
as $$
begin
    if new.is_on then
        insert into public.kill_switch_steps (step, version, state)
        select step, new.version, 'pending' from unnest(array['sessions', 'signing']) as step
        on conflict do nothing;
    end if;
    return null;
end
$$;
revoke all on function begin_kill_switch_steps() from public;
