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

variable "public_subnet_ids" {
  description = "Public subnets in at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.public_subnet_ids) >= 2
    error_message = "A load balancer needs subnets in at least two zones."
  }
}

variable "target_security_group_id" {
  description = "Security group of the tasks of the api."
  type        = string
}

variable "certificate_arn" {
  description = "ARN of the certificate in ACM for the public name of the api."
  type        = string

  validation {
    condition     = startswith(var.certificate_arn, "arn:")
    error_message = "The certificate must be given by its ARN."
  }
}

variable "port" {
  description = "Port on which the api listens (API_ADDR)."
  type        = number
  default     = 8070
}

variable "health_port" {
  description = "Port of the api's health endpoints (HEALTH_ADDR)."
  type        = number
  default     = 8080
}

variable "interactions_enabled" {
  description = "Whether requests to /interactions go to the service for interactions by HTTP."
  type        = bool
  default     = false
}

variable "interactions_security_group_id" {
  description = "Security group of the tasks of the service for interactions by HTTP."
  type        = string
}

variable "interactions_port" {
  description = "Port on which the service for interactions by HTTP listens (INTERACTIONS_ADDR)."
  type        = number
  default     = 8050
}

variable "requests_per_five_minutes" {
  description = "Requests of one address in five minutes, above which it is blocked. The api has narrower limits for each route."
  type        = number
  default     = 3000

  validation {
    condition     = var.requests_per_five_minutes >= 100
    error_message = "The limit must be at least 100."
  }
}

variable "log_retention_days" {
  description = "Days for which the log of the firewall is kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([30, 60, 90, 180, 365, 400, 731], var.log_retention_days)
    error_message = "The days must be 30, 60, 90, 180, 365, 400 or 731."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key of the firewall's log."
  type        = string
}
