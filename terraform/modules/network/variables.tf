variable "environment" {
  description = "Name of the environment, a part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}$", var.environment))
    error_message = "The environment must be 2 to 15 characters: lower-case letters, digits, hyphens."
  }
}

variable "cidr" {
  description = "Addresses of the VPC, a /16."
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && endswith(var.cidr, "/16")
    error_message = "The addresses must be a /16, such as 10.20.0.0/16."
  }
}

variable "availability_zones" {
  description = "Names of 2 or 3 availability zones; a broker that is a cluster needs 3. A changed order would replace subnets."
  type        = list(string)

  validation {
    condition     = contains([2, 3], length(var.availability_zones)) && length(distinct(var.availability_zones)) == length(var.availability_zones)
    error_message = "There must be 2 or 3 different availability zones."
  }
}

variable "single_nat_gateway" {
  description = "Whether all zones use one NAT gateway. It is cheaper; tasks lose the internet when its zone fails."
  type        = bool
  default     = true
}

variable "discord_cidrs" {
  description = "IPv4 networks at which Discord is reached: those that Cloudflare publishes at https://www.cloudflare.com/ips-v4."
  type        = list(string)
  default = [
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "108.162.192.0/18",
    "131.0.72.0/22",
    "141.101.64.0/18",
    "162.158.0.0/15",
    "172.64.0.0/13",
    "173.245.48.0/20",
    "188.114.96.0/20",
    "190.93.240.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
  ]

  validation {
    condition     = length(var.discord_cidrs) > 0 && length(var.discord_cidrs) <= 30
    error_message = "There must be 1 to 30 networks: the prefix list has room for 30."
  }

  validation {
    condition     = alltrue([for cidr in var.discord_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "Each network must be in the form 104.16.0.0/13, and none may be the whole internet."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the flow logs."
  type        = string
}

variable "log_retention_days" {
  description = "Days for which flow logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([30, 60, 90, 180, 365, 400, 731], var.log_retention_days)
    error_message = "The days must be 30, 60, 90, 180, 365, 400 or 731."
  }
}

variable "flow_log_traffic" {
  description = "Which traffic the flow logs record: ALL, ACCEPT or REJECT."
  type        = string
  default     = "ALL"

  validation {
    condition     = contains(["ALL", "ACCEPT", "REJECT"], var.flow_log_traffic)
    error_message = "The traffic must be ALL, ACCEPT or REJECT."
  }
}
