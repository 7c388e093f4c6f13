-- The three logins exist before the first migration (README.md has the SQL). They get here what no table grants.
revoke all on schema public from public;
grant usage on schema public to arrakis_app, arrakis_admin;

-- Row-level security as every tenant table has it, in one place so that no table has it a little differently.
-- The select makes the tenant one InitPlan instead of a call per row. nullif matters: a pooled connection holds '' after a
-- transaction-local setting has ended, and a plain cast would raise where no rows are the answer.
create function protect_tenant_table(target regclass) returns void
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    tenant constant text :=
        'community_id = (select nullif(current_setting(''app.current_tenant'', true), '''')::uuid)';
begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format('create policy tenant_isolation on %s for all using (%s) with check (%s)', target, tenant, tenant);
end
$$;
revoke all on function protect_tenant_table(regclass) from public;

-- What an append-only table's triggers call. They are ENABLE ALWAYS, so that session_replication_role does not skip them.
create function refuse_change() returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    raise exception '% refuses %: it is append-only', tg_table_name, tg_op using errcode = 'insufficient_privilege';
end
$$;
revoke all on function refuse_change() from public;

create function make_append_only(target regclass) returns void
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    execute format('create trigger refuse_change before update or delete on %s for each row execute function public.refuse_change()', target);
    -- Row triggers miss TRUNCATE.
    execute format('create trigger refuse_truncate before truncate on %s for each statement execute function public.refuse_change()', target);
    execute format('alter table %s enable always trigger refuse_change', target);
    execute format('alter table %s enable always trigger refuse_truncate', target);
end
$$;
revoke all on function make_append_only(regclass) from public;
