variable "environment" {
  description = "Name of the environment, a part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}$", var.environment))
    error_message = "The environment must be 2 to 15 characters: lower-case letters, digits, hyphens."
  }
}

variable "enabled" {
  description = "Whether alarms notify: not before the services are started."
  type        = bool
  default     = false
}

variable "emails" {
  description = "Addresses that get alarms by e-mail; each confirms its subscription once."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.emails : strcontains(address, "@")])
    error_message = "Each must be an e-mail address."
  }
}

variable "discord_webhook_secret_arn" {
  description = "ARN of the secret with the URL of the webhook of the operators' channel; null: alarms do not go to Discord. The secret must have a value."
  type        = string
  default     = null

  validation {
    condition     = var.discord_webhook_secret_arn == null || startswith(coalesce(var.discord_webhook_secret_arn, "-"), "arn:")
    error_message = "The webhook must be given by the ARN of its secret."
  }
}

variable "runbooks_url" {
  description = "Address of the runbooks, which each alarm names."
  type        = string

  validation {
    condition     = startswith(var.runbooks_url, "https://")
    error_message = "The address must begin with https://."
  }
}

variable "metrics_namespace" {
  description = "Namespace of the services' own metrics."
  type        = string
}

variable "cluster_name" {
  description = "Name of the ECS cluster."
  type        = string
}

variable "services" {
  description = "ECS services and the number of tasks below which an alarm is raised, by a short name."
  type = map(object({
    name  = string
    tasks = number
  }))
}

variable "broker_name" {
  description = "Name of the broker."
  type        = string
}

variable "queues" {
  description = "Queues of work."
  type        = list(string)
}

variable "ready_messages" {
  description = "Messages that may wait in a queue for 5 minutes."
  type        = number
  default     = 1000

  validation {
    condition     = var.ready_messages > 0
    error_message = "The number of messages must be positive."
  }
}

variable "database_instance_id" {
  description = "Identifier of the database instance."
  type        = string
}

variable "database_connections" {
  description = "Connections to the database above which an alarm is raised: 80 % of max_connections of the instance class."
  type        = number

  validation {
    condition     = var.database_connections > 0
    error_message = "The number of connections must be positive."
  }
}

variable "cache_member_ids" {
  description = "Identifiers of the nodes of the cache."
  type        = list(string)
}

variable "load_balancer_arn_suffix" {
  description = "The dimension LoadBalancer of metrics."
  type        = string
}

variable "target_group_arn_suffix" {
  description = "The dimension TargetGroup of metrics."
  type        = string
}

variable "backup_bucket" {
  description = "Name of the bucket of backups."
  type        = string
}

variable "backup_bucket_gib" {
  description = "Size of the bucket of backups in GiB above which an alarm is raised."
  type        = number
  default     = 100

  validation {
    condition     = var.backup_bucket_gib > 0
    error_message = "The size must be positive."
  }
}

variable "backup_rules" {
  description = "Names of the rules that start backups."
  type        = set(string)
}

variable "backup_failure_rule_arn" {
  description = "ARN of the rule that publishes failed backup tasks to the topic."
  type        = string
}

variable "backup_dead_letter_queue" {
  description = "Name of the queue of backup tasks that could not be started."
  type        = string
}

variable "prometheus_workspace_id" {
  description = "Id of the workspace of Prometheus."
  type        = string
}

variable "prometheus_workspace_arn" {
  description = "ARN of the workspace of Prometheus, whose alerts are published to the topic."
  type        = string
}

variable "kms_key_arn" {
  description = "ARN of the KMS key of topic and queues."
  type        = string
}
