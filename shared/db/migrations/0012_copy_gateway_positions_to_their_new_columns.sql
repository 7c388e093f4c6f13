-- no-transaction
-- One transaction for each community, so that no row stays locked for long. Safe to repeat.
do $$
declare
    tenant uuid;
begin
    for tenant in select community_id from guild_routes loop
        -- Row-level security applies to the owner, too.
        perform set_config('app.current_tenant', tenant::text, true);
        update profiles
           set gateway_session = told_session, gateway_sequence = told_seq
         where community_id = tenant and told_session is not null and gateway_session is null;
        commit;
    end loop;
end
$$;
