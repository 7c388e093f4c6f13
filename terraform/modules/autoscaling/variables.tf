variable "environment" {
  description = "Name of the environment, a part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}$", var.environment))
    error_message = "The environment must be 2 to 15 characters: lower-case letters, digits, hyphens."
  }
}

variable "name" {
  description = "Name of the service, behind arrakis-{env}-."
  type        = string
}

variable "cluster_name" {
  description = "Name of the ECS cluster."
  type        = string
}

variable "service_name" {
  description = "Name of the ECS service."
  type        = string
}

variable "broker_name" {
  description = "Name of the broker, the dimension of its metrics."
  type        = string
}

variable "queues" {
  description = "Queues whose messages are the backlog."
  type        = list(string)

  validation {
    condition     = length(var.queues) >= 1 && length(var.queues) <= 8
    error_message = "There must be 1 to 8 queues: an alarm has at most ten metrics."
  }
}

variable "min_tasks" {
  description = "Smallest number of tasks."
  type        = number
  default     = 2

  validation {
    condition     = var.min_tasks >= 1
    error_message = "There must be at least one task."
  }
}

variable "max_tasks" {
  description = "Largest number of tasks."
  type        = number
  default     = 20
}

variable "backlog_per_task" {
  description = "Messages per task that autoscaling aims at. A worker handles WORKER_PREFETCH (30) interactions at once: more than that wait."
  type        = number
  default     = 30

  validation {
    condition     = var.backlog_per_task > 0
    error_message = "The number of messages must be positive."
  }
}
