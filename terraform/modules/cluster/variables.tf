variable "environment" {
  description = "Name of the environment, a part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}$", var.environment))
    error_message = "The environment must be 2 to 15 characters: lower-case letters, digits, hyphens."
  }
}

variable "vpc_id" {
  description = "Id of the VPC in which services find each other by name."
  type        = string
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the log group of metrics."
  type        = string
}

variable "log_retention_days" {
  description = "Days for which the log events of metrics are kept. CloudWatch keeps the metrics themselves for 15 months."
  type        = number
  default     = 365

  validation {
    condition     = contains([30, 60, 90, 180, 365, 400, 731], var.log_retention_days)
    error_message = "The days must be 30, 60, 90, 180, 365, 400 or 731."
  }
}
