variable "environment" {
  description = "Name of the environment, a part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}$", var.environment))
    error_message = "The environment must be 2 to 15 characters: lower-case letters, digits, hyphens."
  }
}

variable "name_suffix" {
  description = "End of the names of rules, such as -staging, for a second environment in one account. Empty: gaib-backup-daily, gaib-backup-hourly."
  type        = string
  default     = ""

  validation {
    condition     = var.name_suffix == "" || can(regex("^-[a-z0-9-]+$", var.name_suffix))
    error_message = "The suffix must be empty, or begin with a hyphen, such as -staging."
  }
}

variable "enabled" {
  description = "Whether the rules start tasks: not before the first images are pushed."
  type        = bool
  default     = false
}

variable "cluster_arn" {
  description = "ARN of the ECS cluster."
  type        = string
}

variable "task_definition_arn" {
  description = "ARN of the task definition with its revision: arrakis-worker backup run-due."
  type        = string
}

variable "task_definition_family_arn" {
  description = "ARN of the task definition without its revision."
  type        = string
}

variable "family" {
  description = "Name of the task definition."
  type        = string
}

variable "role_arns" {
  description = "ARNs of the roles of the task, which the rules pass to ECS."
  type        = list(string)
}

variable "subnet_ids" {
  description = "Private subnets of the task."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the task."
  type        = string
}

variable "log_group_name" {
  description = "Log group of the task, which the notice about a failure names."
  type        = string
}

variable "topic_arn" {
  description = "ARN of the topic of operational alarms."
  type        = string
}

variable "kms_key_arn" {
  description = "ARN of the KMS key of the queue."
  type        = string
}
