output "rule_names" {
  description = "Names of the rules that start backups."
  value       = [for rule in aws_cloudwatch_event_rule.backup : rule.name]
}

output "failure_rule_arn" {
  description = "ARN of the rule that publishes failed runs to the topic."
  value       = aws_cloudwatch_event_rule.failed.arn
}

output "dead_letter_queue_name" {
  description = "Name of the queue of starts that EventBridge could not make."
  value       = aws_sqs_queue.dead_letters.name
}
