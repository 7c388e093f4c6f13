# The built-in policy for plans of Terraform and OpenTofu. It is compiled into `arrakis-policy` and always evaluated: a policy of an
# operator can add blocks, and cannot remove one.
#
# `deny` rejects a plan, and nobody overrides that. `warn` needs an approval; `risk` is the number of points of a warning.
# Input: docs/policy.md. `data.arrakis` is data.json beside this file.
package arrakis.terraform

# The caller compares this number with the changes of the plan: a document that reached the policy in part passes nothing.
checked := count(input.resource_changes)

# Lists of actions that Terraform documents; the order of a pair is not significant here.
known_actions := {
	{"no-op"},
	{"create"},
	{"read"},
	{"update"},
	{"delete"},
	{"forget"},
	{"create", "delete"},
	{"create", "forget"},
}

actions(change) := {action | some action in change.change.actions}

deletes(change) if "delete" in change.change.actions

# A replacement that keeps the old object unmanaged still puts an empty one in its place.
deletes(change) if {
	"create" in change.change.actions
	"forget" in change.change.actions
}

changes(change) if {
	some action in change.change.actions
	not action in {"no-op", "read"}
}

# Reading a data source can run a statement too.
runs(change) if {
	some action in change.change.actions
	action != "no-op"
}

how(change) := "replaced" if {
	"create" in change.change.actions
} else := "deleted"

# Hard blocks.

deny contains {"rule": "protected_delete", "address": change.address, "msg": message} if {
	some change in input.resource_changes
	deletes(change)
	some type in change.types
	kind := data.arrakis.protected[type]
	message := sprintf("%s (%s) would be %s", [change.type, kind, how(change)])
}

deny contains {"rule": effect.rule, "address": change.address, "msg": effect.msg} if {
	some change in input.resource_changes
	runs(change)
	some effect in change.effects
	effect.block
}

deny contains {"rule": effect.rule, "address": null, "msg": sprintf("%s, in a provisioner", [effect.msg])} if {
	some effect in input.provisioner_effects
	effect.block
}

deny contains {"rule": effect.rule, "address": invocation.address, "msg": sprintf("%s, in an invoked action", [effect.msg])} if {
	some invocation in input.action_invocations
	some effect in invocation.effects
	effect.block
}

# Attributes of cyrilgdn/postgresql: a role with one of them is not subject to row-level security.
deny contains {"rule": "row_security_bypassed", "address": change.address, "msg": sprintf("%s is set", [attribute])} if {
	some change in input.resource_changes
	change.type == "postgresql_role"
	changes(change)
	some attribute in ["bypass_row_level_security", "superuser"]
	value := object.get(object.get(change.change, "after", {}), attribute, false)
	not value in {false, null}
}

# What is unknown until the apply cannot be checked now. A data source is read then.
deny contains {"rule": "unknown_statement", "address": change.address, "msg": sprintf("%s is unknown until the plan is applied", [attribute])} if {
	some change in input.resource_changes
	runs(change)
	some attribute in data.arrakis.sql_attributes[change.type]
	some unknown in change.unknown
	unknown in {attribute, "*"}
}

# A provisioner runs when its resource is created or deleted.
deny contains {"rule": "unknown_statement", "address": change.address, "msg": "a provisioner runs a command that is known during the apply only"} if {
	some resource in input.unknown_provisioners
	some change in input.resource_changes
	resource in {change.resource, ""}
	some action in change.change.actions
	action in {"create", "delete"}
}

deny contains {"rule": "unknown_action", "address": change.address, "msg": sprintf("the actions %v have no known meaning", [change.change.actions])} if {
	some change in input.resource_changes
	not actions(change) in known_actions
}

deny contains {"rule": "unknown_action", "address": change.address, "msg": sprintf("the actions %v have one twice", [change.change.actions])} if {
	some change in input.resource_changes
	count(change.change.actions) != count(actions(change))
}

deny contains {"rule": "unknown_mode", "address": change.address, "msg": sprintf("the mode %v has no known meaning", [change.mode])} if {
	some change in input.resource_changes
	not change.mode in {"managed", "data"}
}

deny contains {"rule": "errored", "address": null, "msg": "the plan ended with an error"} if input.errored

deny contains {"rule": "incomplete", "address": null, "msg": "the plan is not complete: a second plan would follow its apply"} if not input.complete

deny contains {"rule": "incomplete", "address": null, "msg": sprintf("the plan is incomplete: it defers changes or actions (%d)", [input.deferred])} if input.deferred > 0

# Warnings.

warn contains {"rule": "guarded_delete", "address": change.address, "risk": 60, "msg": message} if {
	some change in input.resource_changes
	deletes(change)
	not is_protected(change)
	some type in change.types
	kind := data.arrakis.guarded[type]
	message := sprintf("%s (%s) would be %s", [change.type, kind, how(change)])
}

warn contains {"rule": "stateful_name_delete", "address": change.address, "risk": 50, "msg": message} if {
	some change in input.resource_changes
	deletes(change)
	not is_protected(change)
	regex.match(`(^|_)(database|db|sql|mysql|postgres|postgresql|mongo|mongodb|redis|cache|cassandra|elasticsearch|opensearch|volume|disk|filesystem|file_system|storage|persistent|table)(_|$)`, change.type)
	message := sprintf("%s would be %s; its name is that of a database or volume", [change.type, how(change)])
}

warn contains {"rule": "delete", "address": change.address, "risk": 20, "msg": sprintf("%s would be %s", [change.type, how(change)])} if {
	some change in input.resource_changes
	deletes(change)
	change.mode == "managed"
}

warn contains {"rule": "forget", "address": change.address, "risk": points, "msg": sprintf("%s would be removed from the state and stay unmanaged", [change.type])} if {
	some change in input.resource_changes
	"forget" in change.change.actions
	points := forget_points(change)
}

warn contains {"rule": "import", "address": change.address, "risk": 10, "msg": sprintf("an existing %s would be imported", [change.type])} if {
	some change in input.resource_changes
	change.change.importing
}

warn contains {"rule": "protected_update", "address": change.address, "risk": 20, "msg": sprintf("%s would be changed in place", [change.type])} if {
	some change in input.resource_changes
	"update" in change.change.actions
	is_protected(change)
}

# A move to another type continues to hold the data under a name that later plans judge.
warn contains {"rule": "moved_type", "address": change.address, "risk": 30, "msg": sprintf("%s was %s", [change.address, change.previous_address])} if {
	some change in input.resource_changes
	some type in change.types
	not startswith(type, "manifest:")
	type != lower(change.type)
}

# The comparison is in `exposure.rs`: nested attributes, numbers that become smaller.
warn contains {"rule": "protection_removed", "address": change.address, "risk": 40, "msg": sprintf("%s changes", [attribute])} if {
	some change in input.resource_changes
	some attribute in change.removed_protections
}

warn contains {"rule": "deletion_prepared", "address": change.address, "risk": 40, "msg": sprintf("%s is set", [attribute])} if {
	some change in input.resource_changes
	some attribute in change.prepared_deletions
}

warn contains {"rule": "public_network", "address": change.address, "risk": 40, "msg": "it is open to every address, or to a large part of them"} if {
	some change in input.resource_changes
	changes(change)
	change.is_open
	regex.match(`(security_group|secgroup|firewall|network_acl|network_security|security_list|security_rule|ip_access|access_list|allowlist|authorized_network|sql_|db_instance|database|cluster|cache|redis|storage_account)`, change.type)
}

warn contains {"rule": "public_access", "address": change.address, "risk": 40, "msg": sprintf("%s is set", [attribute])} if {
	some change in input.resource_changes
	changes(change)
	some attribute in ["publicly_accessible", "public_network_access_enabled", "allow_blob_public_access"]
	change.change.after[attribute] == true
}

warn contains {"rule": "public_access", "address": change.address, "risk": 40, "msg": sprintf("%s is not set", [attribute])} if {
	some change in input.resource_changes
	changes(change)
	change.type in {"aws_s3_bucket_public_access_block", "aws_s3_account_public_access_block"}
	is_object(change.change.after)
	some attribute in ["block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"]
	object.get(change.change.after, attribute, false) == false
}

warn contains {"rule": "public_access", "address": change.address, "risk": 40, "msg": "it has a URL without authentication"} if {
	some change in input.resource_changes
	changes(change)
	change.type == "aws_lambda_function_url"
	change.change.after.authorization_type == "NONE"
}

warn contains {"rule": "public_access", "address": change.address, "risk": 40, "msg": "it gives rights to everybody"} if {
	some change in input.resource_changes
	changes(change)
	change.mode == "managed"
	change.names_everybody
}

warn contains {"rule": "permissions", "address": change.address, "risk": 25, "msg": sprintf("%s decides about permissions", [change.type])} if {
	some change in input.resource_changes
	changes(change)
	change.mode == "managed"
	regex.match(`(_iam_|_iam$|role_assignment|role_definition|rolebinding|role_binding|cluster_role|_policy_attachment|bucket_policy|lambda_permission|(kms_key|queue|topic|repository|secret|resource|registry|vault|file_system|domain)_policy$|_grant$|_grants$|_acl$|kms_grant|vault_policy|postgresql_role|postgresql_grant|grant_role)`, change.type)
}

warn contains {"rule": effect.rule, "address": change.address, "risk": 50, "msg": effect.msg} if {
	some change in input.resource_changes
	runs(change)
	some effect in change.effects
	not effect.block
}

warn contains {"rule": effect.rule, "address": null, "risk": 50, "msg": sprintf("%s, in a provisioner", [effect.msg])} if {
	some effect in input.provisioner_effects
	not effect.block
}

warn contains {"rule": "provisioners", "address": null, "risk": 25, "msg": sprintf("commands of provisioners run (%d), which a plan does not show", [input.provisioners])} if {
	input.provisioners > 0
	some change in input.resource_changes
	changes(change)
}

warn contains {"rule": "external_program", "address": change.address, "risk": 25, "msg": "a program runs during the apply"} if {
	some change in input.resource_changes
	runs(change)
	change.mode == "data"
	change.type == "external"
}

warn contains {"rule": "action_invocation", "address": invocation.address, "risk": 35, "msg": sprintf("the action %s is invoked; a plan does not show its effect", [invocation.type])} if {
	some invocation in input.action_invocations
}

warn contains {"rule": "unknown_property", "address": null, "risk": 30, "msg": sprintf("the plan has the property %s, which this version does not read", [property])} if {
	some property in input.unknown_properties
}

is_protected(change) if {
	some type in change.types
	data.arrakis.protected[type]
}

forget_points(change) := 60 if {
	is_protected(change)
} else := 15
