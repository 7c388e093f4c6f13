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
  description = "Private subnets in different zones. A single instance uses the first one, a cluster three."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "There must be at least one subnet."
  }
}

variable "client_security_group_ids" {
  description = "Security groups of the services that may connect by AMQP (port 5671), by service."
  type        = map(string)
}

variable "console_cidrs" {
  description = "Networks of operators, such as that of a VPN, which may open the console (port 15671)."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.console_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "Each network must be in the form 10.8.0.0/24, and none may be the whole internet."
  }
}

variable "deployment_mode" {
  description = "SINGLE_INSTANCE, or CLUSTER_MULTI_AZ for three nodes in three zones."
  type        = string

  validation {
    condition     = contains(["SINGLE_INSTANCE", "CLUSTER_MULTI_AZ"], var.deployment_mode)
    error_message = "The mode must be SINGLE_INSTANCE or CLUSTER_MULTI_AZ."
  }
}

variable "instance_type" {
  description = "Instance type of the broker, such as mq.m7g.medium; a cluster needs at least mq.m7g.large."
  type        = string

  validation {
    condition     = startswith(var.instance_type, "mq.")
    error_message = "The instance type must begin with mq., such as mq.m7g.medium."
  }
}

variable "engine_version" {
  description = "Version of RabbitMQ as major.minor, such as 3.13: with a patch version every plan shows a difference, since Amazon MQ applies patches itself."
  type        = string
  default     = "3.13"

  validation {
    condition     = can(regex("^[34]\\.[0-9]+$", var.engine_version))
    error_message = "The version must be major.minor, such as 3.13."
  }
}

variable "credential_version" {
  description = "A new number makes a new password; docs/operations/rotate-secrets.md."
  type        = number
  default     = 1
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts messages on disk and the secret."
  type        = string
}
