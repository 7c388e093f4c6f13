output "workspace_id" {
  description = "Id of the workspace."
  value       = aws_prometheus_workspace.this.id
}

output "workspace_arn" {
  description = "ARN of the workspace."
  value       = aws_prometheus_workspace.this.arn
}

output "endpoint" {
  description = "Base URL of queries, for which requests are signed (SigV4, service aps)."
  value       = local.endpoint
}

output "host" {
  description = "Host of the endpoint."
  value       = split("/", local.endpoint)[2]
}

output "remote_write_url" {
  description = "URL to which collectors push."
  value       = "${local.endpoint}/api/v1/remote_write"
}

output "query_policy_json" {
  description = "IAM policy of what evaluates queries."
  value       = data.aws_iam_policy_document.query.json
}

output "dashboards_policy_json" {
  description = "IAM policy of Grafana."
  value       = data.aws_iam_policy_document.dashboards.json
}
