//! Plans of Terraform: hard blocks, warnings, what passes.

use arrakis_policy::finding::Counts;
use arrakis_policy::risk::Level;
use arrakis_policy::{Inputs, Verdict, check, protected};
use serde_json::{Value, json};

use crate::support::{
    assert_blocked_by, assert_passed, assert_warned_by, change, check_file, check_plan, plan_file, plan_of,
};

#[test]
fn creation_of_a_network_passes() {
    let report = check_file("create_network");
    assert_passed(&report);
    let expected = Counts {
        create: 2,
        ..Counts::default()
    };
    assert_eq!(report.plan.changes, expected);
    assert_eq!(report.risk.level, Level::Low);
}

#[test]
fn real_plans_are_read() {
    assert_passed(&check_file("real_empty"));
    let created = check_file("real_create");
    assert_passed(&created);
    assert_eq!(created.plan.changes.create, 3);
    let replaced = check_file("real_replace");
    assert_warned_by(&replaced, "delete");
    assert_eq!((replaced.plan.changes.replace, replaced.plan.changes.update), (2, 1));
}

#[test]
fn plan_of_terraform_0_15_is_read() {
    assert_eq!(check_file("version_0_15").plan.changes.update, 1);
    assert_passed(&check_file("version_0_15"));
}

#[test]
fn state_is_no_plan() {
    assert_blocked_by(&check_file("real_state"), "unreadable_plan");
}

#[test]
fn deletion_of_data_is_blocked_in_every_form() {
    for name in [
        "delete_database",
        "replace_database_by_triggers",
        "replace_volume_and_forget",
        "delete_manifest_volume",
        "moved_database",
        "deposed_volume",
        "unicode_names",
    ] {
        assert_blocked_by(&check_file(name), "protected_delete");
    }
}

#[test]
fn kubernetes_object_of_unknown_kind_is_not_deleted() {
    let mut manifest = change("kubernetes_manifest", &["delete"]);
    for (before, blocked) in [
        (json!(null), true),
        (json!({"name": "x"}), true),
        (json!({"manifest": {"kind": "StatefulSet"}}), true),
        (json!({"manifest": {"kind": "Service"}}), false),
    ] {
        manifest["change"]["before"] = before.clone();
        manifest["change"]["after"] = json!(null);
        let report = check_plan(&plan_of(&[manifest.clone()]));
        assert_eq!(report.verdict == Verdict::Rejected, blocked, "{before}");
    }
}

#[test]
fn every_protected_type_is_blocked() {
    for provider in protected::providers() {
        for actions in [&["delete"][..], &["create", "delete"], &["delete", "create"]] {
            let kinds = provider.types.keys().filter(|kind| !kind.starts_with("manifest:"));
            let changes: Vec<_> = kinds.map(|kind| change(kind, actions)).collect();
            let report = check_plan(&plan_of(&changes));
            for change in &changes {
                let address = change["address"].as_str();
                let blocked = report
                    .blocks
                    .iter()
                    .any(|block| block.rule == "protected_delete" && block.address.as_deref() == address);
                assert!(blocked, "{address:?} {actions:?}");
            }
        }
    }
}

#[test]
fn row_security_is_not_disabled_by_a_plan() {
    for (name, rule) in [
        ("sensitive_statement", "row_security_disabled"),
        ("provisioner_disables_rows", "row_security_disabled"),
        ("role_bypasses_rows", "row_security_bypassed"),
        ("update_with_unknown_role", "unknown_statement"),
    ] {
        assert_blocked_by(&check_file(name), rule);
    }
    let mut invoked = plan_of(&[]);
    invoked["action_invocations"] = json!([{"address": "action.acme_sql.a", "type": "acme_sql",
        "config_values": {"statement": "alter table t disable row level security"}}]);
    assert_blocked_by(&check_plan(&invoked), "row_security_disabled");
    let mut read = change("aws_rdsdata_query", &["read"]);
    read["address"] = json!("data.aws_rdsdata_query.main");
    read["mode"] = json!("data");
    read["change"]["after"] = json!({"sql": "alter table t disable row level security"});
    assert_blocked_by(&check_plan(&plan_of(&[read.clone()])), "row_security_disabled");
    read["change"]["after"] = json!({});
    read["change"]["after_unknown"] = json!({"sql": true});
    assert_blocked_by(&check_plan(&plan_of(&[read])), "unknown_statement");
    for text in [
        "psql -c \"alter table t disable /* keep */ row level security\"",
        "{\"sql\":\"alter table t disable\\nrow level security\"}",
        "-- c\ralter table t disable row level security",
    ] {
        let mut data = change("terraform_data", &["create"]);
        data["change"]["after"] = json!({"input": text});
        assert_blocked_by(&check_plan(&plan_of(&[data])), "row_security_disabled");
    }
    let policy = plan_of(&[change("snowflake_row_access_policy", &["delete"])]);
    assert_blocked_by(&check_plan(&policy), "protected_delete");
}

#[test]
fn attributes_with_sql_are_judged_as_migrations() {
    let created = |kind: &str, after: Value| {
        let mut created = change(kind, &["create"]);
        created["change"]["after"] = after;
        check_plan(&plan_of(&[created]))
    };
    let dynamic = "do $$ begin execute 'alter table t dis'||'able row level security'; end $$";
    let body = "begin execute 'alter table t dis'||'able row level security'; end";
    for (kind, after) in [
        ("postgresql_query", json!({"database": "x", "query": dynamic})),
        ("aws_rdsdata_query", json!({"sql": dynamic})),
        ("aws_redshiftdata_statement", json!({"sql": dynamic})),
        ("postgresql_script", json!({"commands": [dynamic]})),
        (
            "postgresql_script",
            json!({"commands": ["alter table t disable", "row level security"]}),
        ),
        (
            "postgresql_function",
            json!({"name": "f", "body": body, "language": "plpgsql"}),
        ),
        (
            "postgresql_function",
            json!({"name": "f", "body": format!("AS $$ {body} $$")}),
        ),
    ] {
        assert_blocked_by(&created(kind, after), "row_security_disabled");
    }
    for (kind, after) in [
        ("postgresql_query", json!({"query": "do $$ begin execute x; end $$"})),
        ("postgresql_query", json!({"query": "select 'a"})),
        (
            "postgresql_function",
            json!({"name": "f", "body": "1", "language": "plperlu"}),
        ),
        (
            "postgresql_function",
            json!({"name": "format", "body": "select 1", "language": "sql"}),
        ),
    ] {
        assert_blocked_by(&created(kind, after), "unknown_statement");
    }
    for (kind, after) in [
        ("postgresql_query", json!({"query": "create index i on t (a)"})),
        ("aws_rdsdata_query", json!({"sql": "select a from t where b = :b"})),
        (
            "postgresql_function",
            json!({"name": "f", "body": "declare t regclass; begin execute format('alter table %s enable row level security', t); end"}),
        ),
    ] {
        let report = created(kind, after);
        assert_ne!(report.verdict, Verdict::Rejected, "{}", report.to_text());
    }
}

#[test]
fn sql_of_a_deleted_resource_is_judged_if_its_deletion_runs_it() {
    let dynamic = "do $$ begin execute x; end $$";
    let deleted = |kind: &str, before: Value| {
        let mut deleted = change(kind, &["delete"]);
        deleted["change"]["before"] = before;
        deleted["change"]["after"] = json!(null);
        check_plan(&plan_of(&[deleted]))
    };
    assert_blocked_by(
        &deleted("mysql_sql", json!({"delete_sql": dynamic})),
        "unknown_statement",
    );
    for (kind, before) in [
        ("mysql_sql", json!({"create_sql": dynamic})),
        (
            "postgresql_function",
            json!({"name": "f", "body": "begin execute x; end"}),
        ),
    ] {
        assert_warned_by(&deleted(kind, before), "delete");
    }
}

#[test]
fn statements_in_lists_and_in_base64_are_found() {
    let encoded = "cHNxbCAtYyAnYWx0ZXIgdGFibGUgdCBkaXNhYmxlIHJvdyBsZXZlbCBzZWN1cml0eSc=";
    for (kind, after) in [
        ("aws_instance", json!({"user_data_base64": encoded})),
        (
            "kubernetes_job_v1",
            json!({"spec": [{"args": ["-c", "alter table t disable", "row level security"]}]}),
        ),
    ] {
        let mut created = change(kind, &["create"]);
        created["change"]["after"] = after;
        assert_blocked_by(&check_plan(&plan_of(&[created])), "row_security_disabled");
    }
}

#[test]
fn prose_about_a_statement_needs_an_approval() {
    let mut object = change("aws_s3_object", &["create"]);
    object["change"]["after"] = json!({"content": "runbook: to restore, drop database and recreate it"});
    assert_warned_by(&check_plan(&plan_of(&[object])), "database_dropped");
    let mut machine = change("aws_instance", &["create"]);
    machine["change"]["after"] = json!({"tags": {"note": "never disable row level security"}});
    assert_warned_by(&check_plan(&plan_of(&[machine])), "row_security_disabled");
}

#[test]
fn command_of_a_provisioner_that_is_no_constant_is_blocked() {
    let with = |expressions: Value, actions: &[&str]| {
        let mut plan = plan_of(&[change("null_resource", actions)]);
        plan["configuration"] = json!({"root_module": {"module_calls": {"a": {"module": {"resources": [{
            "address": "null_resource.main", "mode": "managed", "type": "null_resource", "name": "main",
            "provisioners": [{"type": "local-exec", "expressions": expressions}],
        }]}}}}});
        check_plan(&plan)
    };
    for unknown in [
        json!({"command": {"references": ["local.sql"]}}),
        json!({"command": {"references": ["var.sql"]}}),
        json!({"command": {"references": ["self.input"]}}),
        json!({"command": {}}),
        json!({"inline": {"references": ["local.lines"]}}),
    ] {
        assert_blocked_by(&with(unknown.clone(), &["create"]), "unknown_statement");
        assert_blocked_by(&with(unknown.clone(), &["delete"]), "unknown_statement");
        assert_passed(&with(unknown, &["no-op"]));
    }
    let constant = json!({"command": {"constant_value": "echo a"}, "environment": {"references": ["var.a"]}});
    assert_warned_by(&with(constant, &["create"]), "provisioners");
}

#[test]
fn program_that_runs_during_the_apply_is_shown() {
    let mut read = change("external", &["read"]);
    read["address"] = json!("data.external.main");
    read["mode"] = json!("data");
    read["change"]["after"] = json!({"program": ["sh", "-c", "date"]});
    assert_warned_by(&check_plan(&plan_of(&[read.clone()])), "external_program");
    read["change"]["after_unknown"] = json!({"program": true});
    assert_blocked_by(&check_plan(&plan_of(&[read])), "unknown_statement");
}

#[test]
fn incomplete_plans_are_blocked() {
    assert_blocked_by(&check_file("deferred"), "incomplete");
    assert_blocked_by(&check_file("errored"), "errored");
    let mut deferred = plan_of(&[]);
    deferred["deferred_action_invocations"] = json!([{"reason": "unknown"}]);
    assert_blocked_by(&check_plan(&deferred), "incomplete");
}

#[test]
fn risky_changes_need_an_approval() {
    for (name, rule) in [
        ("forget_database", "forget"),
        ("import_bucket", "import"),
        ("action_invocation", "action_invocation"),
        ("protection_removed", "protection_removed"),
        ("protection_removed", "deletion_prepared"),
        ("protection_removed", "protected_update"),
        ("open_firewall", "public_network"),
        ("newer_property", "unknown_property"),
    ] {
        assert_warned_by(&check_file(name), rule);
    }
}

#[test]
fn deletions_of_other_stores_need_an_approval_with_a_second_factor() {
    let bucket = check_plan(&plan_of(&[change("aws_s3_bucket", &["delete"])]));
    assert_warned_by(&bucket, "guarded_delete");
    assert_eq!(bucket.risk.level, Level::High);
    let machine = check_plan(&plan_of(&[change("azurerm_windows_virtual_machine", &["delete"])]));
    assert_warned_by(&machine, "guarded_delete");
    let unlisted = check_plan(&plan_of(&[change("acme_database_instance", &["delete"])]));
    assert_warned_by(&unlisted, "stateful_name_delete");
    assert_eq!(unlisted.risk.level, Level::High);
}

#[test]
fn exposure_needs_an_approval_in_every_form() {
    for (kind, after, rule) in [
        (
            "aws_security_group",
            json!({"ingress": [{"cidr_blocks": ["0.0.0.0/1", "128.0.0.0/1"]}]}),
            "public_network",
        ),
        (
            "azurerm_network_security_rule",
            json!({"source_address_prefix": "Internet"}),
            "public_network",
        ),
        (
            "openstack_networking_secgroup_rule_v2",
            json!({"remote_ip_prefix": "0.0.0.0/0"}),
            "public_network",
        ),
        (
            "oci_core_security_list",
            json!({"ingress_security_rules": [{"source": "0.0.0.0/0"}]}),
            "public_network",
        ),
        (
            "azurerm_postgresql_flexible_server_firewall_rule",
            json!({"start_ip_address": "0.0.0.0", "end_ip_address": "255.255.255.255"}),
            "public_network",
        ),
        (
            "aws_s3_bucket_public_access_block",
            json!({"block_public_acls": false}),
            "public_access",
        ),
        (
            "aws_lambda_function_url",
            json!({"authorization_type": "NONE"}),
            "public_access",
        ),
        ("aws_lambda_permission", json!({"principal": "*"}), "public_access"),
        (
            "aws_kms_key_policy",
            json!({"policy": "{\"Principal\":\"*\"}"}),
            "public_access",
        ),
    ] {
        let mut created = change(kind, &["create"]);
        created["change"]["after"] = after.clone();
        assert_warned_by(&check_plan(&plan_of(&[created])), rule);
    }
    let mut private = change("aws_security_group", &["create"]);
    private["change"]["after"] = json!({"ingress": [{"cidr_blocks": ["10.0.0.0/8"]}]});
    assert_passed(&check_plan(&plan_of(&[private])));
    // Outgoing traffic.
    for (kind, after) in [
        (
            "aws_security_group",
            json!({"ingress": [{"cidr_blocks": ["10.0.0.0/8"]}], "egress": [{"cidr_blocks": ["0.0.0.0/0"]}]}),
        ),
        (
            "aws_security_group_rule",
            json!({"type": "egress", "cidr_blocks": ["0.0.0.0/0"]}),
        ),
        ("aws_vpc_security_group_egress_rule", json!({"cidr_ipv4": "0.0.0.0/0"})),
        (
            "google_compute_firewall",
            json!({"direction": "EGRESS", "destination_ranges": ["0.0.0.0/0"]}),
        ),
    ] {
        let mut created = change(kind, &["create"]);
        created["change"]["after"] = after;
        assert_passed(&check_plan(&plan_of(&[created])));
    }
    let mut suspended = change("aws_s3_bucket_versioning", &["update"]);
    suspended["change"]["before"] = json!({"versioning_configuration": [{"status": "Enabled"}]});
    suspended["change"]["after"] = json!({"versioning_configuration": [{"status": "Suspended"}]});
    assert_warned_by(&check_plan(&plan_of(&[suspended])), "protection_removed");
}

#[test]
fn move_to_another_type_is_shown() {
    let mut moved = change("terraform_data", &["no-op"]);
    moved["previous_address"] = json!("null_resource.main");
    assert_warned_by(&check_plan(&plan_of(&[moved])), "moved_type");
}

#[test]
fn many_small_changes_need_an_approval() {
    let changes: Vec<_> = (0..12)
        .map(|number| {
            let mut update = change("aws_route53_record", &["update"]);
            update["address"] = json!(format!("aws_route53_record.main[{number}]"));
            update
        })
        .chain((0..12).map(|number| {
            let mut create = change("aws_vpc", &["create"]);
            create["address"] = json!(format!("aws_vpc.main[{number}]"));
            create
        }))
        .collect();
    let report = check_plan(&plan_of(&changes));
    assert_eq!((report.verdict, report.risk.score), (Verdict::NeedsApproval, 36));
    assert!(report.warnings.is_empty());
}

#[test]
fn no_report_contains_a_sensitive_value() {
    for name in [
        "delete_database",
        "protection_removed",
        "role_bypasses_rows",
        "sensitive_statement",
        "real_replace",
    ] {
        let report = check_file(name);
        let shown = format!("{}{}", report.to_text(), serde_json::to_string(&report).unwrap());
        for secret in ["spice-must-flow", "hunter2", "ALTER TABLE"] {
            assert!(!shown.contains(secret), "{name}: {shown}");
        }
    }
}

#[test]
fn migrations_are_checked_with_the_plan() {
    let checked = |sql: &str| {
        check(&Inputs {
            plan: plan_file("create_network"),
            migrations: vec![("0042_a.sql".to_owned(), sql.to_owned())],
            ..Inputs::default()
        })
    };
    assert_passed(&checked(
        "create table a (b int); alter table a enable row level security;",
    ));
    assert_blocked_by(
        &checked("alter table a disable row level security"),
        "row_security_disabled",
    );
    assert_blocked_by(
        &checked("alter table a no force row level security"),
        "row_security_disabled",
    );
    assert_blocked_by(
        &checked("do $$ begin execute 'alter table a ' || x || ' row level security'; end $$"),
        "unknown_statement",
    );
    assert_blocked_by(&checked("select 'unterminated"), "unreadable_migration");
    assert_blocked_by(&checked("s\0e\0l\0"), "unreadable_migration");
    assert_warned_by(&checked("drop policy p on a"), "row_policy_dropped");
}
