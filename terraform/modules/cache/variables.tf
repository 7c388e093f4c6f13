variable "environment" {
  description = "Name of the environment, a part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}$", var.environment))
    error_message = "The environment must be 2 to 15 characters: lower-case letters, digits, hyphens."
  }
}

variable "vpc_id" {
  description = "Id of the VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets without a route to the internet."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "There must be at least one subnet."
  }
}

variable "client_security_group_ids" {
  description = "Security groups of the tasks that may connect, by their name."
  type        = map(string)
}

variable "node_type" {
  description = "Type of the nodes, such as cache.t4g.small."
  type        = string

  validation {
    condition     = startswith(var.node_type, "cache.")
    error_message = "The type must begin with cache., such as cache.t4g.small."
  }
}

variable "replica_count" {
  description = "Number of replicas in other zones; with one or more, a replica takes over when the primary node fails."
  type        = number

  validation {
    condition     = var.replica_count >= 0 && var.replica_count <= 5
    error_message = "There may be 0 to 5 replicas."
  }
}

variable "credential_version" {
  description = "A new number makes a new token; docs/operations/rotate-secrets.md."
  type        = number
  default     = 1
}

variable "auth_token_update_strategy" {
  description = "ROTATE: the old token works beside the new one. SET: only the new one works. A rotation applies ROTATE, then SET."
  type        = string
  default     = "ROTATE"

  validation {
    condition     = contains(["ROTATE", "SET"], var.auth_token_update_strategy)
    error_message = "The strategy must be ROTATE or SET."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the disk and the secret."
  type        = string
}
