# The built-in policy for plans of gaib. As for arrakis-terraform.rego, no policy of an operator removes a finding.
package arrakis.gaib

# The caller compares this number with the steps of the plan.
checked := count(input.plan.steps)

# Steps are what is carried out; changes are what is shown. The comparison is `Plan::hidden_steps`.
deny contains {"rule": "hidden_step", "address": hidden.address, "msg": sprintf("a step does what the changes do not show: %s", [hidden.step])} if {
	some hidden in input.hidden_steps
}

deny contains {"rule": "broken_rule", "address": null, "msg": "the plan breaks a rule of Discord and cannot succeed"} if {
	count(object.get(input.plan, "broken_rules", [])) > 0
}

warn contains {"rule": "destroy", "address": null, "risk": 60, "msg": "the plan deletes every managed resource of the server"} if {
	input.plan.mode == "destroy"
}

warn contains {"rule": "messages_lost", "address": change.address, "risk": 50, "msg": sprintf("messages are lost: %s", [change.action])} if {
	some change in input.plan.changes
	change.loses_messages
}

warn contains {"rule": "delete", "address": change.address, "risk": 20, "msg": sprintf("it would be deleted (%s)", [change.action])} if {
	some change in input.plan.changes
	change.action in {"delete", "replace"}
}

warn contains {"rule": "forget", "address": change.address, "risk": 10, "msg": "it would be removed from the state and stay on the server"} if {
	some change in input.plan.changes
	change.action == "forget"
}

dangerous := {
	"ADMINISTRATOR",
	"MANAGE_GUILD",
	"MANAGE_ROLES",
	"MANAGE_CHANNELS",
	"MANAGE_WEBHOOKS",
	"BAN_MEMBERS",
	"KICK_MEMBERS",
	"MENTION_EVERYONE",
}

warn contains {"rule": "permissions", "address": change.address, "risk": 35, "msg": sprintf("it gives %s", [permission])} if {
	some change in input.plan.changes
	change.action in {"create", "update", "replace"}
	some permission in dangerous
	has_text(change.after, permission)
	not has_text(object.get(change, "before", null), permission)
}

# What is carried out counts too: the state before a change is only what the file claims.
warn contains {"rule": "permissions", "address": step.address, "risk": 35, "msg": sprintf("it gives %s", [permission])} if {
	some step in input.plan.steps
	some permission in dangerous
	has_text(given(step), permission)
}

given(step) := object.get(step.attributes, "permissions", []) if {
	step["do"] == "create"
}

given(step) := object.get(step.attributes, "permissions", []) if {
	step["do"] == "update"
	"permissions" in step.fields
}

given(step) := object.get(step.overwrite, "allow", []) if step["do"] == "put_overwrite"

has_text(value, wanted) if {
	walk(value, [_, inner])
	is_string(inner)
	upper(inner) == wanted
}
