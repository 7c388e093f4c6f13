output "dns_name" {
  description = "Name of the load balancer, to which the public name of the api is an alias."
  value       = aws_lb.this.dns_name
}

output "zone_id" {
  description = "Hosted zone of the load balancer, for an alias record in Route 53."
  value       = aws_lb.this.zone_id
}

output "security_group_id" {
  description = "Security group of the load balancer."
  value       = aws_security_group.this.id
}

output "target_group_arn" {
  description = "ARN of the target group of the api. It has a listener as soon as this output is known."
  value       = aws_lb_target_group.api.arn

  depends_on = [aws_lb_listener.https]
}

output "interactions_target_group_arn" {
  description = "ARN of the target group of the service for interactions by HTTP, null where it is not enabled. It has a listener as soon as this output is known."
  value       = one(aws_lb_target_group.interactions[*].arn)

  depends_on = [aws_lb_listener_rule.interactions]
}

output "arn_suffix" {
  description = "The dimension LoadBalancer of metrics."
  value       = aws_lb.this.arn_suffix
}

output "target_group_arn_suffix" {
  description = "The dimension TargetGroup of metrics."
  value       = aws_lb_target_group.api.arn_suffix
}
