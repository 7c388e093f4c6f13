output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "public_subnet_ids" {
  description = "Ids of the public subnets: load balancer, NAT gateways."
  value       = aws_subnet.public[*].id
}

output "public_subnet_cidrs" {
  description = "Addresses of the public subnets, from which the load balancer connects."
  value       = local.public_cidrs
}

output "private_subnet_ids" {
  description = "Ids of the private subnets: tasks."
  value       = aws_subnet.private[*].id
}

output "isolated_subnet_ids" {
  description = "Ids of the subnets without a route to the internet: broker, database, cache."
  value       = aws_subnet.isolated[*].id
}

output "endpoints_security_group_id" {
  description = "Security group of the endpoints of AWS services."
  value       = aws_security_group.endpoints.id
}

output "discord_prefix_list_id" {
  description = "Prefix list with the networks at which Discord is reached."
  value       = aws_ec2_managed_prefix_list.discord.id
}

output "s3_prefix_list_id" {
  description = "Prefix list of S3 in the region: layers of images, backups."
  value       = aws_vpc_endpoint.gateway["s3"].prefix_list_id
}

output "dynamodb_prefix_list_id" {
  description = "Prefix list of DynamoDB in the region."
  value       = aws_vpc_endpoint.gateway["dynamodb"].prefix_list_id
}
