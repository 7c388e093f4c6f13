# Every new bucket names its owner, and only the platform team creates networks.
package acme.tags

deny contains {"rule": "owner", "address": change.address, "msg": "the tag owner is missing"} if {
	some change in created
	change.type == "aws_s3_bucket"
	not has_owner(change)
}

# An unknown tag is no tag: it is absent from `after`.
has_owner(change) if change.change.after.tags.owner != ""

warn contains {"rule": "network", "address": change.address, "msg": "a network is created", "risk": 20} if {
	some change in created
	change.type in data.networks
}

created contains change if {
	some change in input.resource_changes
	"create" in change.change.actions
}
