variable "prefix" {
  description = "Folder in the bucket, such as the name of the environment."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]+$", var.prefix))
    error_message = "The prefix must be lower-case letters, digits and hyphens."
  }
}

variable "name_suffix" {
  description = "End of every name, such as -staging, for a second environment in one account. Empty: the names of the documentation."
  type        = string
  default     = ""

  validation {
    condition     = var.name_suffix == "" || can(regex("^-[a-z0-9-]+$", var.name_suffix))
    error_message = "The suffix must be empty, or begin with a hyphen, such as -staging."
  }
}

variable "enable_cross_region_replication" {
  description = "Whether objects of the premium plan are replicated to a bucket in a second region with a key of its own."
  type        = bool
  default     = false
}

variable "second_region" {
  description = "The second region."
  type        = string
  default     = "us-west-2"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.second_region))
    error_message = "The region must be the name of an AWS region, such as us-west-2."
  }
}

variable "notification_emails" {
  description = "Addresses that get notices about backups by e-mail: all of them, or failures only."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for address, notices in var.notification_emails : strcontains(address, "@") && contains(["all", "failures"], notices)])
    error_message = "Each value must be all or failures, by an e-mail address."
  }
}
