variable "environment" {
  description = "Name of the environment, a part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}$", var.environment))
    error_message = "The environment must be 2 to 15 characters: lower-case letters, digits, hyphens."
  }
}

variable "name" {
  description = "Name of the service or task, behind arrakis-{env}-."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]+$", var.name))
    error_message = "The name must be lower-case letters, digits and hyphens."
  }
}

variable "image" {
  description = "Image with its tag or digest."
  type        = string

  validation {
    condition     = can(regex(":[^/]+$", var.image)) && !endswith(var.image, ":latest")
    error_message = "The image must have a tag or a digest, and the tag must not be latest."
  }
}

variable "repository_arns" {
  description = "ARNs of the repositories that the images of the task are pulled from."
  type        = list(string)
}

variable "entry_point" {
  description = "Entry point in place of that of the image."
  type        = list(string)
  default     = null
}

variable "command" {
  description = "Arguments of the entry point."
  type        = list(string)
  default     = null
}

variable "user" {
  description = "User and group ids of the program, as the image has them."
  type        = string
  default     = "65532:65532"

  validation {
    condition     = can(regex("^[1-9][0-9]*:[0-9]+$", var.user))
    error_message = "The user must be user id:group id, and not root."
  }
}

variable "cpu" {
  description = "CPU units: 1,024 are one vCPU."
  type        = number

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.cpu)
    error_message = "Fargate has 256, 512, 1024, 2048 or 4096 CPU units."
  }
}

variable "memory" {
  description = "Memory in MiB."
  type        = number

  validation {
    condition     = var.memory >= 512 && var.memory <= 30720
    error_message = "Fargate has 512 to 30720 MiB."
  }
}

variable "cpu_architecture" {
  description = "Architecture of the images: X86_64 or ARM64."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "The architecture must be X86_64 or ARM64."
  }
}

variable "environment_variables" {
  description = "Variables of .env.example that are not secret, with their values."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Variables of .env.example with secret values: ARN of the secret, or ARN:KEY:: for a key of JSON."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for reference in values(var.secrets) : startswith(reference, "arn:")])
    error_message = "A secret must be given by the ARN of Secrets Manager, never by its value."
  }
}

variable "files" {
  description = "Files in /run/arrakis of the task, by name: from a secret (ARN), or with public content."
  type = map(object({
    secret  = optional(string)
    content = optional(string)
  }))
  default = {}

  validation {
    condition     = alltrue([for name, file in var.files : can(regex("^[a-z0-9.-]+$", name)) && (file.secret == null) != (file.content == null)])
    error_message = "A name has lower-case letters, digits, dots and hyphens, and a file has either a secret or a content."
  }
}

variable "files_image" {
  description = "Image with a shell that writes the files, with a digest; required with files."
  type        = string
  default     = null

  validation {
    condition     = var.files_image == null || can(regex("@sha256:[0-9a-f]{64}$", var.files_image))
    error_message = "The image must be named by its digest: its tag can be moved."
  }
}

variable "ports" {
  description = "Ports on which the program listens for others than the collector."
  type        = list(number)
  default     = []
}

variable "health_check_command" {
  description = "Command by which ECS checks the program, such as [\"/usr/bin/arrakis-worker\", \"healthcheck\"]."
  type        = list(string)
  default     = null
}

variable "stop_timeout_seconds" {
  description = "Seconds between SIGTERM and SIGKILL: more than the program needs to finish or return its messages."
  type        = number
  default     = 40

  validation {
    condition     = var.stop_timeout_seconds >= 2 && var.stop_timeout_seconds <= 120
    error_message = "Fargate allows 2 to 120 seconds."
  }
}

variable "collector" {
  description = "The collector beside the program: image by digest; for CloudWatch the log group, namespace and names of the metrics; for Prometheus the workspace, its URL, the label job, and an expression of the names of the metrics that it gets, all if null; no collector if null."
  type = object({
    image            = string
    namespace        = string
    log_group_name   = string
    log_group_arn    = string
    metric_names     = list(string)
    workspace_arn    = string
    remote_write_url = string
    job              = string
    kept_metrics     = optional(string)
  })
  default = null
}

variable "task_policies" {
  description = "IAM policies (JSON) of the program, by name; without one it has no permission in AWS."
  type        = map(string)
  default     = {}
}

variable "vpc_id" {
  description = "Id of the VPC."
  type        = string
}

variable "egress" {
  description = "Where the task may connect to, by name: a TCP port of a security group, a prefix list, or addresses."
  type = map(object({
    port              = number
    security_group_id = optional(string)
    prefix_list_id    = optional(string)
    cidr              = optional(string)
  }))
}

variable "ingress" {
  description = "Which security groups may connect to which TCP port of the task, by name; default: none, the task accepts no connection."
  type = map(object({
    port              = number
    security_group_id = string
  }))
  default = {}
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
  description = "ARN of the KMS key of the log and the secrets."
  type        = string
}

variable "cluster_arn" {
  description = "ARN of the ECS cluster."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of the tasks."
  type        = list(string)
}

variable "start" {
  description = "Whether tasks run. On the first deployment they do not, since the repositories are empty."
  type        = bool
  default     = false
}

variable "desired_count" {
  description = "Number of tasks of a service that is not autoscaled, once it is started."
  type        = number
  default     = 1

  validation {
    condition     = var.desired_count >= 0 && var.desired_count <= 50
    error_message = "The number of tasks must be from 0 to 50."
  }
}

variable "autoscaled" {
  description = "Whether the module autoscaling sets the number of tasks. It cannot be changed without a new service."
  type        = bool
  default     = false
}

variable "discovery" {
  description = "Namespace in which the tasks are found by the name of the service; none if null."
  type = object({
    namespace_id = string
  })
  default = null
}

variable "load_balancer" {
  description = "Target group of a load balancer, and the port of the task; none if null."
  type = object({
    target_group_arn = string
    port             = number
  })
  default = null
}
