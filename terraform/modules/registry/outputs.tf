output "repository_urls" {
  description = "Address of the repository of each service."
  value       = { for service, repository in aws_ecr_repository.service : service => repository.repository_url }
}

output "repository_arns" {
  description = "ARN of the repository of each service."
  value       = { for service, repository in aws_ecr_repository.service : service => repository.arn }
}

output "public_repository_urls" {
  description = "Address of the copy of each public image."
  value       = { for name, repository in aws_ecr_repository.public : name => repository.repository_url }
}

output "public_repository_arns" {
  description = "ARN of the copy of each public image."
  value       = { for name, repository in aws_ecr_repository.public : name => repository.arn }
}

output "registry_url" {
  description = "Address of the registry of the account, for docker login."
  value       = "${data.aws_caller_identity.current.account_id}.dkr.ecr.${data.aws_region.current.region}.${data.aws_partition.current.dns_suffix}"
}

output "push_policy_json" {
  description = "IAM policy with which continuous integration pushes the images of services, and nothing else."
  value       = data.aws_iam_policy_document.push.json
}
