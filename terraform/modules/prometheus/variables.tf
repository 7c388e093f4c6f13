variable "environment" {
  description = "Name of the environment, a part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}$", var.environment))
    error_message = "The environment must be 2 to 15 characters: lower-case letters, digits, hyphens."
  }
}

variable "enabled" {
  description = "Whether alerts notify: not before the services are started."
  type        = bool
  default     = false
}

variable "rules" {
  description = "Files of rules, by the name of their namespace: the content of deploy/prometheus/rules."
  type        = map(string)

  validation {
    condition     = length(var.rules) > 0 && alltrue([for content in values(var.rules) : can(yamldecode(content).groups)])
    error_message = "There must be at least one file, and each must be YAML with groups."
  }
}

variable "inhibit_rules" {
  description = "What is not sent while its cause is: inhibit_rules of deploy/prometheus/alertmanager.yaml."
  type = list(object({
    source_matchers = list(string)
    target_matchers = list(string)
  }))
  default = []
}

variable "topic_arn" {
  description = "ARN of the topic of operational alarms, whose policy must admit the workspace."
  type        = string
}

variable "runbooks_url" {
  description = "Address of the runbooks, which each notification names."
  type        = string

  validation {
    condition     = startswith(var.runbooks_url, "https://")
    error_message = "The address must begin with https://."
  }
}

variable "log_retention_days" {
  description = "Days for which the log is kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([30, 60, 90, 180, 365, 400, 731], var.log_retention_days)
    error_message = "The days must be 30, 60, 90, 180, 365, 400 or 731."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key of the log."
  type        = string
}
