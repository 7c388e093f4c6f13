package acme.tags_test

import data.acme.tags

bucket(after) := {"resource_changes": [{
	"address": "aws_s3_bucket.a",
	"type": "aws_s3_bucket",
	"change": {"actions": ["create"], "after": after},
}]}

test_bucket_without_owner_is_denied if {
	count(tags.deny) == 1 with input as bucket({"tags": {}})
}

test_bucket_with_owner_is_allowed if {
	count(tags.deny) == 0 with input as bucket({"tags": {"owner": "stilgar"}})
}

test_bucket_with_unknown_tags_is_denied if {
	count(tags.deny) == 1 with input as bucket({})
}
