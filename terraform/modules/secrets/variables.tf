variable "environment" {
  description = "Name of the environment, a part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}$", var.environment))
    error_message = "The environment must be 2 to 15 characters: lower-case letters, digits, hyphens."
  }
}

variable "secrets" {
  description = "Secrets whose values operators set: name behind arrakis-{env}/, and what the value is."
  type        = map(string)

  validation {
    condition     = alltrue([for name, meaning in var.secrets : can(regex("^[a-z][a-z0-9-]+$", name)) && length(meaning) > 0])
    error_message = "A name has lower-case letters, digits and hyphens, and every secret has a description."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the values."
  type        = string
}
