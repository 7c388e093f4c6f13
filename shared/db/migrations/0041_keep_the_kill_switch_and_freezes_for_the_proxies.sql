set local lock_timeout = '2s';

-- The kill switch of the platform and the freezes of communities, for the discord-proxies. A table of the platform: workers send the
-- freezes of all communities to the proxies, and a freeze of a row says no more than the server's id. Reasons stay in `communities`.
create table kill_switches (
    -- platform, or community: and the id of a Discord server.
    scope text primary key check (scope ~ '^(platform|community:[1-9][0-9]{0,19})$'),
    is_on boolean not null,
    -- Higher with each change; milliseconds since 1970, if no earlier change had a higher one. The higher version wins everywhere.
    version bigint not null check (version >= 0),
    -- Who turned the kill switch of the platform on or off; empty for a community.
    changed_by text not null check (length(changed_by) <= 100),
    -- Why; for a community empty, or `teardown`: gaib, which tears the server down, is not stopped.
    reason text not null check (length(reason) <= 500)
);
grant select, insert, update on kill_switches to arrakis_app, arrakis_admin;

-- A freeze and its end reach the table in the transaction of the change, whoever makes it.
create function kill_switch_follows_the_freeze() returns trigger
    language plpgsql
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

create trigger kill_switch_follows_the_freeze
    after update of frozen_at, frozen_reason, controlled_by on communities
    for each row
    when ((old.frozen_at, old.frozen_reason, old.controlled_by) is distinct from (new.frozen_at, new.frozen_reason, new.controlled_by))
    execute function kill_switch_follows_the_freeze();

-- The communities that are frozen now. Row-level security applies to the owner, too.
do $$
declare
    route record;
begin
    for route in select guild_id, community_id from guild_routes loop
        perform set_config('app.current_tenant', route.community_id::text, true);
        insert into kill_switches (scope, is_on, version, changed_by, reason)
        select 'community:' || route.guild_id, true, (extract(epoch from clock_timestamp()) * 1000)::bigint, '',
               case when controlled_by is null and starts_with(frozen_reason, 'teardown of the server') then 'teardown' else '' end
          from communities
         where community_id = route.community_id and frozen_at is not null;
    end loop;
    perform set_config('app.current_tenant', '', true);
end
$$;

-- The scope of the routes of the kill switch, with a key for all communities only.
alter table platform_api_keys drop constraint platform_api_keys_scopes_check;
alter table platform_api_keys add constraint platform_api_keys_scopes_check check (
    cardinality(scopes) > 0
    and scopes <@ array['users:read', 'users:write', 'users:export', 'telegram', 'servers:read', 'servers:write', 'plans:write', 'emergency']);
