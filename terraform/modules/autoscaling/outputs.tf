output "target_id" {
  description = "Id of the scalable target, for aws application-autoscaling."
  value       = aws_appautoscaling_target.this.resource_id
}
