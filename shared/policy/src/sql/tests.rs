//! Effects of SQL in migrations and in texts of plans.

use super::*;

#[track_caller]
fn assert_effects(sql: &str, expected: &[Effect]) {
    assert_eq!(of_migration(sql).as_deref(), Ok(expected), "{sql}");
}

#[test]
fn disabling_statements_are_found_in_every_form() {
    for sql in [
        "alter table profiles disable row level security;",
        "ALTER TABLE a.b\n  DISABLE\tROW /* x */ LEVEL -- y\n SECURITY",
        "alter table t no force row level security",
        "do $$ begin execute 'alter table t disable row level security'; end $$",
        "do $a$ begin execute format('alter table %I disable row' || ' level security', t); end $a$",
        "-- note\ralter table t disable row level security;",
        "select e'a'\n'\\' -- ';alter table t disable row level security;",
        "set standard_conforming_strings=off; select '\\' -- ';alter table t disable row level security;",
        "select $¤$ -- $¤$; alter table t disable row level security;",
        "do $$ begin execute 'alter table t disable /* x */ row level security'; end $$;",
        "do $$ begin execute 'alter table t disable -- x\n row level security'; end $$;",
        r"do $$ begin execute e'alter table t disable row\nlevel security'; end $$;",
        r"do $$ begin execute u&'alter table t disable\0020row level security'; end $$;",
        "do $$ begin execute format('alter table t %s row level security', 'disable'); end $$;",
        "do $$ begin execute format('alter table t %I row level security', x); end $$;",
        "do $$ begin execute format('alter table t %2$s row %1$s', 'level security', 'disable'); end $$;",
        "do $$ begin execute 'alter table t ' || ('dis' || 'able') || ' row level security'; end $$;",
        "do 'begin execute ''alter table t dis'' ''x''; alter table t disable row level security; end'",
        "delete from pg_catalog.pg_policy",
        "select $$don't$$; select '--'; alter table x disable row level security;",
        r"select E'it\'s --'; alter table x disable row level security;",
        r"select 'C:\'; alter table x disable row level security; -- '",
        "/* a /* b */ */ alter table x disable row level security",
        "update pg_class set relrowsecurity = false where relname = 't'",
        "alter security policy dbo.filter with (state = off)",
    ] {
        let effects = of_migration(sql).unwrap();
        assert!(effects.contains(&Effect::RowSecurityDisabled), "{sql}: {effects:?}");
    }
}

#[test]
fn statements_that_cannot_be_read_are_unknown() {
    for sql in [
        "do $$ begin execute statement; end $$",
        "do $$ begin execute 'alter table t ' || action || ' row level security'; end $$",
        "do $$ begin execute format('alter table t %s row level security', action); end $$",
        "do $$ begin execute format(template, 'a'); end $$",
        "do $$ begin execute replace('alter table t x row level security', 'x', 'disable'); end $$",
        "do $$ begin execute format('do %L', code); end $$",
        "do $$ declare t regclass; t text; begin execute format('alter table %s', t); end $$",
        "do $$ begin for r in execute query loop null; end loop; end $$",
        "do $$ begin return query execute query using 1; end $$",
        "do $$ my $i=3; $i--; spi_exec_query('x'); $$ language plperlu",
        "do language \"plperl\" $$ 1 $$",
        "do $$\nx = 1 # /*\nplpy.execute('x')\n$$ language plpython3u",
        "create function f() returns int language 'plv8' as $$ 1 $$",
        "create function f() returns int as '/lib/f' language c",
        "select query_to_xml('alter ' || x, true, true, '')",
        "select dblink_exec(a, b)",
        "copy t from program 'curl example.org'",
        "prepare s from @x",
        "exec(@sql)",
        "exec sp_executesql @sql",
        "\\set a disable\nalter table t :a row level security",
        "alter table t :\"a\" row level security",
        "\\i other.sql",
        "select u&'d!0061' uescape '!'",
    ] {
        let effects = of_migration(sql).unwrap();
        assert!(effects.contains(&Effect::Unknown), "{sql}: {effects:?}");
    }
}

#[test]
fn statements_of_constants_and_names_are_read() {
    for sql in [
        "do $$ begin execute 'create index i on t (a)'; end $$",
        "do $$ begin execute format('alter table %I enable row level security', name); end $$",
        "do $$ begin execute format('alter table %I.%I force row level security', a, b); end $$",
        "create function f(target regclass) returns void language plpgsql as $$ begin
             execute format('alter table %s force row level security', target); end $$",
        "create trigger t before insert on t for each row execute function f()",
        "grant execute on function f() to app",
        "prepare s as select 1; execute s; execute s(1)",
        "select a[1:2], b::text, c[i:j] from t where d = ':x'",
        "create function f() returns int language sql begin atomic select 1; end",
        "alter table t drop constraint c, add constraint c foreign key (a) references b on delete cascade",
        "create table t (language text not null, program text)",
    ] {
        assert_effects(sql, &[]);
    }
}

#[test]
fn deleted_databases_of_other_servers_are_found() {
    for sql in [
        "/*!40000 DROP DATABASE IF EXISTS `prod`*/;",
        r"SELECT '\' -- ';DROP DATABASE prod;",
        "/* a /* b */ DROP DATABASE prod; /* c */ */",
        "do $$ begin execute format('%I database p', x); end $$",
    ] {
        let effects = of_migration(sql).unwrap();
        assert!(effects.contains(&Effect::DatabaseDropped), "{sql}: {effects:?}");
    }
}

#[test]
fn comments_of_a_migration_are_no_code() {
    assert_effects("-- never disable row level security\nselect 1;", &[]);
    assert_effects("/* disable row level security */ select '/*';", &[]);
    assert_effects(
        "alter table t enable row level security; alter table t force row level security",
        &[],
    );
}

#[test]
fn roles_that_bypass_row_security_are_found() {
    assert_effects("alter role app with login bypassrls", &[Effect::RowSecurityBypassed]);
    assert_effects("create user u superuser", &[Effect::RowSecurityBypassed]);
    assert_effects("create role app nobypassrls nosuperuser login", &[]);
    assert_effects(
        "update pg_authid set rolbypassrls = true",
        &[Effect::RowSecurityBypassed],
    );
    assert_effects(
        "update pg_catalog.\"pg_authid\" set rolsuper = true",
        &[Effect::RowSecurityBypassed],
    );
    assert_effects(
        "insert into pg_auth_members values (1, 2, 3)",
        &[Effect::RowSecurityBypassed],
    );
    let far = format!("create role r password 'a;b' {} bypassrls", "inherit ".repeat(100));
    assert_effects(&far, &[Effect::RowSecurityBypassed]);
    assert_effects("select rolbypassrls from pg_roles", &[]);
}

#[test]
fn deletions_have_their_own_effects() {
    assert_effects("drop database if exists arrakis", &[Effect::DatabaseDropped]);
    assert_effects("drop policy p on t", &[Effect::PolicyDropped]);
    assert_effects("drop table t; truncate u", &[Effect::TableDropped]);
    assert_effects("revoke truncate on t from app", &[]);
    assert_effects("create trigger t before truncate on t execute function f()", &[]);
    for sql in [
        "create index i on t(a);\ntruncate users;",
        "grant select on t to app; truncate table users",
        "drop foreign table t",
        "drop owned by app",
        "drop extension hstore cascade",
    ] {
        assert_effects(sql, &[Effect::TableDropped]);
    }
}

#[test]
fn wider_access_has_its_own_effects() {
    for sql in [
        "create policy p on t using (true)",
        "create policy p on t for insert with check (true)",
        "create policy p on t using (1 = 1)",
        "alter policy p on t using (a = b)",
    ] {
        assert_effects(sql, &[Effect::PolicyOpened]);
    }
    assert_effects("create policy p on t using (a = b)", &[]);
    assert_effects("alter table t owner to app", &[Effect::OwnerChanged]);
    assert_effects("grant arrakis_admin to arrakis_app", &[Effect::RoleGranted]);
    assert_effects("grant select on t to app", &[]);
}

#[test]
fn migration_without_an_end_is_refused() {
    for sql in ["select 'a", "/* a", "do $$ begin", "select \"a"] {
        assert_eq!(of_migration(sql), Err(Unreadable::Unterminated), "{sql}");
    }
    let utf_16 = "a\0l\0t\0e\0r\0";
    assert_eq!(of_migration(utf_16), Err(Unreadable::Nul));
}

#[test]
fn texts_of_plans_are_found_in_shell_commands_and_comments() {
    let command = "psql -c \"alter table t disable row level security\" # don't";
    assert_eq!(of_text(command), [Effect::RowSecurityDisabled]);
    assert_eq!(
        of_text("ALTER TABLE t DISABLE /* x */ ROW LEVEL SECURITY"),
        [Effect::RowSecurityDisabled]
    );
    for text in [
        "psql -c \"alter table t disable /* keep */ row level security\"",
        r#"{"sql":"alter table t disable\nrow level security"}"#,
        r#"{"a":"{\"sql\":\"alter table t disable\\trow level security\"}"}"#,
        "-- c\ralter table t disable -- x\rrow level security",
        r"select u&'\0064isable row level security'",
    ] {
        assert_eq!(of_text(text), [Effect::RowSecurityDisabled], "{text}");
    }
    assert!(of_text("a description of rows").is_empty());
    assert!(of_text("grant access to the security team, and drop the owner to zero").is_empty());
}

#[test]
fn own_migrations_have_no_block() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../db/migrations");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "sql") {
            let sql = std::fs::read_to_string(entry.path()).unwrap();
            let effects = of_migration(&sql).unwrap();
            assert!(
                !effects.iter().any(|effect| effect.is_block()),
                "{:?}: {effects:?}",
                entry.path()
            );
            count += 1;
        }
    }
    assert!(count > 20, "{count} migrations");
}

/// The second half of a statement that disables row-level security, whose first half is put together with it.
const SPLIT: &str = "'alter table t dis'||'able row level security'";

#[test]
fn statements_that_are_put_together_are_found_behind_what_hides_them() {
    for (before, sql, after) in [
        // A backtick is an operator.
        (
            "create operator ` (leftarg = int, rightarg = int, function = f); ",
            "do $$ begin execute D; end $$",
            "; drop operator ` (int, int)",
        ),
        ("select 1 ` 2; ", "do $$ begin execute D; end $$", "; select 1 ` 2"),
        // Data of psql.
        (
            "copy c from stdin;\n'\n\\.\n",
            "do $x$ begin execute D; end $x$",
            ";\n-- '\n",
        ),
        (
            "copy c from stdout;\n'\n\\.\n",
            "do $x$ begin execute D; end $x$",
            ";\n-- '\n",
        ),
        ("\u{feff}", "do $$ begin execute D; end $$", ""),
        (
            "",
            "do $$ declare function text := D; begin execute function; end $$",
            "",
        ),
        (
            "",
            "do $$ declare procedure text := D; begin execute procedure; end $$",
            "",
        ),
        (
            "",
            "do $$ declare function text := D; begin execute function using 1; end $$",
            "",
        ),
        // Definitions with the names of built-in ones.
        (
            "create function format(text, int) returns text language sql as $$ select D $$; ",
            "do $$ begin execute format('select 1', 1); end $$",
            "",
        ),
        (
            "create function public.\"quote_ident\"(int) returns text language sql as $$ select D $$; ",
            "do $$ begin execute quote_ident(1); end $$",
            "",
        ),
        (
            "alter function f(text, int) rename to format; ",
            "do $$ begin execute format('select 1', 1); end $$",
            "",
        ),
        (
            "create domain public.regclass as text; ",
            "do $$ declare x regclass := D; begin execute x; end $$",
            "",
        ),
        (
            "create domain quote_ident as text; ",
            "do $$ begin execute quote_ident('select'); end $$",
            "",
        ),
        (
            "create operator || (leftarg = text, rightarg = int, function = f); ",
            "do $$ declare x int; begin execute 'select' || x; end $$",
            "",
        ),
        (
            "create cast (int as text) with function f(int); ",
            "do $$ declare x int; begin execute '' || x; end $$",
            "",
        ),
        // A table with the name of a keyword.
        (
            "alter table t rename to role; ",
            "do $$ begin execute format('alter table role %I row level security', 'disable'); end $$",
            "",
        ),
        (
            "",
            "do $$ begin execute format('alter table role %I row level security', a); end $$",
            "",
        ),
        (
            "",
            "do $$ begin execute format('alter table \"table\" %I force row level security', a); end $$",
            "",
        ),
        (
            "",
            "do $$ begin execute format('alter table t add column drop index, %I row level security', a); end $$",
            "",
        ),
        (
            "",
            "do $$ begin execute format('%I %I x', 'drop', 'database'); end $$",
            "",
        ),
        ("", "do $$ begin execute format('%I %I x', a, b); end $$", ""),
        (
            "",
            "do $$ begin execute format('alter role app %I', 'bypassrls'); end $$",
            "",
        ),
        ("", "do $$ begin execute format('alter role app %I', a); end $$", ""),
        (
            "",
            "do $$ begin execute format('update %I set %I = false', a, b); end $$",
            "",
        ),
        (
            "",
            "do $$ begin execute format('select public.%I(%L)', a, b); end $$",
            "",
        ),
        (
            "",
            "do $$ begin execute format('select * from %I(%L)', a, b); end $$",
            "",
        ),
        ("", "do $$ declare x oid.a%type := D; begin execute x; end $$", ""),
        (
            "",
            "do $$ begin execute format('alter table onlyé %I force row level security', a); end $$",
            "",
        ),
        (
            "",
            "do $$ begin execute format('alter table only$ %I force row level security', a); end $$",
            "",
        ),
        // Functions that run their arguments.
        ("", "select \"dblink_exec\"('dbname=x', D)", ""),
        ("", "select \"query_to_xml\"(D, true, true, '')", ""),
        (
            "",
            "select cron.schedule_in_database('a', '* * * * *', D, 'arrakis')",
            "",
        ),
        ("", "select cron.alter_job(1, command := D)", ""),
        ("", "select * from crosstab3(D)", ""),
        ("", "select * from xpath_table('a', 'b', 'c', '/x', D) as t(a int)", ""),
        ("", "select pg_background_launch(D)", ""),
        ("", "insert into cron.job (command) values (D)", ""),
        ("alter function dblink_exec(text) rename to f; ", "select f(D)", ""),
        // Catalogs behind another name.
        (
            "create view v as select relname, relrowsecurity as a from pg_class; ",
            "update v set a = false",
            "",
        ),
        (
            "import foreign schema pg_catalog limit to (pg_class) from server s into f; ",
            "update f.pg_class set a = false",
            "",
        ),
        (
            "create rule \"_RETURN\" as on select to v do instead select * from pg_class; ",
            "update v set a = false",
            "",
        ),
        // Another reading of literals.
        ("set standard_conforming_strings = off; ", "select 1", ""),
        (
            "select set_config('standard_' || 'conforming_strings', 'off', false); ",
            "select 1",
            "",
        ),
        ("set client_encoding = 'SJIS'; ", "select 1", ""),
        (
            "",
            "do $$ begin if a then create function f() returns int language plperlu as 'x'; end if; end $$",
            "",
        ),
    ] {
        let sql = format!("{before}{sql}{after}").replace('D', SPLIT);
        let effects = of_migration(&sql);
        assert!(
            effects
                .as_ref()
                .is_ok_and(|effects| effects.iter().any(|effect| effect.is_block())),
            "{sql}: {effects:?}"
        );
    }
}

#[test]
fn ordinary_statements_with_names_are_read() {
    for sql in [
        "\u{feff}select 1",
        "set standard_conforming_strings = on; set client_encoding = 'UTF8'; set names 'utf8'",
        "create type mood as enum ('a', 'b'); create type pair as (a int, b text); create domain email as text",
        "create operator class c for type int using btree as operator 1 <",
        "create materialized view sizes as select relname from pg_class",
        "do $$ begin perform set_config('app.tenant', x::text, true); end $$",
        "do $$ begin execute pg_catalog.format('create index %I on public.%I (%I)', a, b, c); end $$",
        "do $$ declare t regclass; begin execute format('alter table only %s force row level security', t); execute 'analyze ' || t; end $$",
        "do $$ begin execute format('alter table if exists %I add column a int', t); end $$",
        "do $$ begin execute format('alter table %I add constraint %I check (a > 0)', t, c); end $$",
        "do $$ begin execute format('grant select on %I to %I', t, r); end $$",
        "do $$ begin execute format('create trigger %I after update on %I for each row execute function f()', n, t); end $$",
        "do $$ begin execute format('select count(*) from %I', t) into n; end $$",
        "do $$ begin create trigger t after update on t for each row execute procedure public.f(); end $$",
        "grant select, execute on function f() to app",
        "insert into t values (1) on conflict do nothing",
    ] {
        assert_effects(sql, &[]);
    }
}

#[test]
fn literals_that_nothing_runs_are_no_code() {
    for sql in [
        "comment on table t is 'Never disable row level security; drop database x'",
        "comment on column t.a is $$drop database x$$",
        "insert into t (a, b) values (1, 'to restore, drop database x'), (2, 'disable row level security')",
        "update t set a = 'drop database x' where b = 1",
        "create function f() returns trigger language plpgsql as $$ begin raise exception 'never disable row level security'; end $$",
    ] {
        assert_effects(sql, &[]);
    }
    for sql in [
        "insert into t values (f('drop database x'))",
        "insert into t select f('drop database x')",
        "update t set a = f('drop database x')",
        "insert into t values ('a'); drop database x; insert into t values ('b')",
        "comment on table t is '\\'; drop database x; -- '",
    ] {
        assert_effects(sql, &[Effect::DatabaseDropped]);
    }
}

#[test]
fn memberships_owners_and_policies_have_their_effects_in_every_form() {
    for sql in [
        "create role r login in role arrakis_admin",
        "create user u in group arrakis_admin",
        "create role r role arrakis_app",
        "create role r admin arrakis_app",
        "alter group arrakis_admin add user arrakis_app",
    ] {
        assert_effects(sql, &[Effect::RoleGranted]);
    }
    assert_effects("create role r login nobypassrls connection limit 5", &[]);
    assert_effects("reassign owned by a to b", &[Effect::OwnerChanged]);
    for sql in [
        "alter policy p on t to public",
        "create policy p on t using (not false)",
        "create policy p on t using ('a' = 'a')",
        "create policy p on t using (a = b or true)",
        "create policy p on t using (a = b) with check (1 is not null)",
    ] {
        assert_effects(sql, &[Effect::PolicyOpened]);
    }
    assert_effects("alter policy p on t rename to q", &[]);
    assert_effects("create policy p on t using (false)", &[]);
    assert_effects("create policy p on t to app using (a = b or c = d)", &[]);
}

#[test]
fn attributes_with_sql_are_judged_as_migrations() {
    let dynamic = format!("do $$ begin execute {SPLIT}; end $$");
    assert_eq!(of_attribute(&dynamic), [Effect::RowSecurityDisabled]);
    assert_eq!(of_attribute("do $$ begin execute x; end $$"), [Effect::Unknown]);
    assert_eq!(of_attribute("select 'a"), [Effect::Unknown]);
    assert!(of_attribute("select a from t where b = :b").is_empty());
    let body = format!("begin execute {SPLIT}; end");
    assert_eq!(of_function("f", "plpgsql", &body), [Effect::RowSecurityDisabled]);
    assert_eq!(
        of_function("f", "plpgsql", &format!("/* x */ AS $$ {body} $$")),
        [Effect::RowSecurityDisabled]
    );
    assert!(of_function("f", "plpgsql", "begin return 1; end").is_empty());
    assert_eq!(of_function("f", "plperlu", "1"), [Effect::Unknown]);
    assert_eq!(of_function("format", "sql", "select 1"), [Effect::Unknown]);
    assert_eq!(of_function("f", "plpgsql", "$arrakis_body$"), [Effect::Unknown]);
}
