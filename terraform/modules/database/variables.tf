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
  description = "Subnets without a route to the internet, in at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "RDS needs subnets in at least two zones."
  }
}

variable "client_security_group_ids" {
  description = "Security groups of the tasks that may connect, by their name."
  type        = map(string)
}

variable "engine_version" {
  description = "Major version of PostgreSQL, 16 or newer: its minor version is upgraded by RDS."
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^1[6-9](\\.[0-9]+)?$", var.engine_version))
    error_message = "The version must be 16 or newer, such as 17."
  }
}

variable "instance_class" {
  description = "Class of the instance, such as db.t4g.small."
  type        = string

  validation {
    condition     = startswith(var.instance_class, "db.")
    error_message = "The class must begin with db., such as db.t4g.small."
  }
}

variable "multi_az" {
  description = "Whether a standby in another zone takes over when the instance fails."
  type        = bool
}

variable "allocated_storage_gib" {
  description = "Size of the disk in GiB."
  type        = number
  default     = 20

  validation {
    condition     = var.allocated_storage_gib >= 20
    error_message = "A gp3 disk has at least 20 GiB."
  }
}

variable "max_allocated_storage_gib" {
  description = "Size in GiB up to which RDS enlarges the disk by itself."
  type        = number
  default     = 200
}

variable "backup_retention_days" {
  description = "Days for which automated backups are kept: 7 to 35."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_retention_days >= 7 && var.backup_retention_days <= 35
    error_message = "The days must be from 7 to 35."
  }
}

variable "credential_versions" {
  description = "A new number makes a new password of that login; docs/operations/rotate-secrets.md."
  type = object({
    app   = number
    admin = number
    owner = number
  })
  default = {
    app   = 1
    admin = 1
    owner = 1
  }
}

variable "ca_file" {
  description = "Path in the tasks of the PEM file with the certificate authorities of RDS, which the URLs name."
  type        = string
  default     = "/run/arrakis/rds-ca.pem"

  validation {
    condition     = startswith(var.ca_file, "/")
    error_message = "The path must be absolute."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts disk, backups, insights and secrets."
  type        = string
}
