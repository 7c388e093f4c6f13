variable "environment" {
  description = "Name of the environment, a part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}$", var.environment))
    error_message = "The environment must be 2 to 15 characters: lower-case letters, digits, hyphens."
  }
}

variable "services" {
  description = "Services that have a repository, arrakis-{env}-{service}."
  type        = set(string)
  default     = ["api", "discord-proxy", "ingestor", "interactions", "telegram", "worker"]

  validation {
    condition     = alltrue([for service in var.services : can(regex("^[a-z][a-z-]+$", service))])
    error_message = "The name of a service has lower-case letters and hyphens."
  }
}

variable "public_images" {
  description = "Public images that are copied, by a name of ours: repository in public.ecr.aws."
  type        = map(string)
  default = {
    collector     = "aws-observability/aws-otel-collector"
    files         = "docker/library/busybox"
    logins        = "docker/library/postgres"
    signing-proxy = "aws-observability/aws-sigv4-proxy"
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the images."
  type        = string
}
