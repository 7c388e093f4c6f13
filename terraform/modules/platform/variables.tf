variable "environment" {
  description = "Name of the environment, a part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}$", var.environment))
    error_message = "The environment must be 2 to 15 characters: lower-case letters, digits, hyphens."
  }
}

variable "start_services" {
  description = "Whether services, schedules and alarms run. False on the first deployment: the repositories and secrets are empty."
  type        = bool
  default     = false
}

variable "image_tags" {
  description = "Tag of the image of each service. Tags are immutable, so an earlier one is a rollback."
  type = object({
    api           = string
    discord-proxy = string
    ingestor      = string
    interactions  = string
    telegram      = string
    worker        = string
  })

  validation {
    condition     = alltrue([for tag in values(var.image_tags) : can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", tag)) && tag != "latest"])
    error_message = "Each tag must be a tag of an image, and not latest."
  }
}

variable "public_image_digests" {
  description = "Digests of the public images beside the services: collector (aws-otel-collector), files (busybox), logins (postgres), signing-proxy (aws-sigv4-proxy)."
  type = object({
    collector     = string
    files         = string
    logins        = string
    signing-proxy = string
  })

  validation {
    condition     = alltrue([for digest in values(var.public_image_digests) : can(regex("^sha256:[0-9a-f]{64}$", digest))])
    error_message = "Each must be a digest, sha256: and 64 hexadecimal digits: docker buildx imagetools inspect IMAGE."
  }
}

variable "discord_application_id" {
  description = "Id of the Discord application."
  type        = string

  validation {
    condition     = can(regex("^[1-9][0-9]{16,19}$", var.discord_application_id))
    error_message = "The id must be a snowflake of Discord, 17 to 20 digits."
  }
}

variable "verify_base_url" {
  description = "Public address of the api, at which members open the wallet page."
  type        = string

  validation {
    condition     = can(regex("^https://[^/]+$", var.verify_base_url))
    error_message = "The address must begin with https:// and have no path."
  }
}

variable "certificate_arn" {
  description = "ARN of the certificate in ACM for the host of verify_base_url."
  type        = string
}

variable "rds_ca_bundle" {
  description = "Certificate authorities of RDS in the region, PEM: https://truststore.pki.rds.amazonaws.com/REGION/REGION-bundle.pem."
  type        = string

  validation {
    condition     = strcontains(var.rds_ca_bundle, "-----BEGIN CERTIFICATE-----") && length(var.rds_ca_bundle) < 16384
    error_message = "It must be certificates in PEM, those of one region: a task definition has at most 64 KiB."
  }
}

variable "cidr" {
  description = "Addresses of the VPC, a /16."
  type        = string
  default     = "10.20.0.0/16"
}

variable "availability_zones" {
  description = "Names of 2 or 3 availability zones."
  type        = list(string)
}

variable "single_nat_gateway" {
  description = "Whether all zones use one NAT gateway."
  type        = bool
}

variable "operator_cidrs" {
  description = "Networks of operators, which may open the broker's console."
  type        = set(string)
  default     = []
}

variable "broker" {
  description = "Broker: deployment mode, instance type, version of the password."
  type = object({
    deployment_mode    = string
    instance_type      = string
    credential_version = optional(number, 1)
  })
}

variable "database" {
  description = "Database: class, standby in another zone, number of connections that raises an alarm, versions of the passwords."
  type = object({
    instance_class    = string
    multi_az          = bool
    connections_alarm = number
    credential_versions = optional(object({
      app   = number
      admin = number
      owner = number
    }), { app = 1, admin = 1, owner = 1 })
  })
}

variable "cache" {
  description = "Cache: type of the nodes, number of replicas, version of the token and how it is replaced."
  type = object({
    node_type                  = string
    replica_count              = number
    credential_version         = optional(number, 1)
    auth_token_update_strategy = optional(string, "ROTATE")
  })
}

variable "ingestor_tasks" {
  description = "Number of ingestors. Each shard is served by one of them; with two, the other one takes its shards over within seconds."
  type        = number
  default     = 1
}

variable "api_tasks" {
  description = "Number of tasks of the api."
  type        = number
  default     = 2
}

variable "telegram_enabled" {
  description = "Whether the Telegram bot runs; its two secrets must have values."
  type        = bool
  default     = false
}

variable "interactions_enabled" {
  description = "Whether the service to which Discord delivers interactions by HTTP runs, at the path /interactions of verify_base_url."
  type        = bool
  default     = false

  validation {
    condition     = !var.interactions_enabled || var.discord_public_key != ""
    error_message = "Interactions by HTTP need discord_public_key."
  }
}

variable "interactions_tasks" {
  description = "Number of tasks of the service for interactions by HTTP."
  type        = number
  default     = 2
}

variable "discord_public_key" {
  description = "Public key of the Discord application (Developer Portal, page General Information), for interactions by HTTP."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([0-9a-f]{64})?$", var.discord_public_key))
    error_message = "The key must be 64 hexadecimal digits."
  }
}

variable "canary_tasks" {
  description = "Number of canary workers, which serve the share of the servers that deploy/canary.sh sets."
  type        = number
  default     = 0
}

variable "canary_image_tag" {
  description = "Tag of the image of canary workers; null: that of the workers."
  type        = string
  default     = null
}

variable "shadow_tasks" {
  description = "Number of shadow workers, which compute answers and send none."
  type        = number
  default     = 0

  validation {
    condition     = var.shadow_tasks == 0 || var.shadow_stores != null
    error_message = "Shadow workers need shadow_stores: they have no access to the database and Redis of the platform."
  }
}

variable "shadow_image_tag" {
  description = "Tag of the image of shadow workers; null: that of the workers."
  type        = string
  default     = null
}

variable "shadow_stores" {
  description = "Security groups of the copies for shadow workers: of the database, and of Redis with its port. The copies are made by hand."
  type = object({
    database_security_group_id = string
    cache_security_group_id    = string
    cache_port                 = optional(number, 6379)
  })
  default = null
}

variable "migrate_image_tag" {
  description = "Tag of the worker's image with which the task migrate runs: that of a new build whose canary workers are tried; null: that of the workers."
  type        = string
  default     = null
}

variable "chains_enabled" {
  description = "Whether holdings are read from chains; the secret chain-rpc-urls must have a value."
  type        = bool
  default     = false
}

variable "score_api_url" {
  description = "Address of the score service; null: none. The secret score-api-key must have a value with it."
  type        = string
  default     = null
}

variable "notices_to_discord" {
  description = "Whether notices about backups go to a Discord channel; the secret notify-webhook must have a value."
  type        = bool
  default     = false
}

variable "alarms_to_discord" {
  description = "Whether operational alarms go to a Discord channel; the secret alarms-webhook must have a value."
  type        = bool
  default     = false
}

variable "alarm_emails" {
  description = "Addresses that get operational alarms by e-mail."
  type        = set(string)
  default     = []
}

variable "runbooks_url" {
  description = "Address of the runbooks, which each alarm names."
  type        = string
  default     = "https://github.com/arrakis-community/arrakis/blob/main/docs/runbooks"
}

variable "backlog_per_task" {
  description = "Messages per worker that autoscaling aims at."
  type        = number
  default     = 30
}

variable "log_filter" {
  description = "RUST_LOG of the services."
  type        = string
  default     = "info,lapin=off,rustls_platform_verifier=off"
}

variable "traces" {
  description = "Collector of traces, OTLP over HTTP (docs/operations/traces.md): base URL, port, addresses or security group; the part of the traces that is exported; whether the secret otlp-headers has headers for it. Null: no export."
  type = object({
    endpoint          = string
    port              = optional(number, 4318)
    cidr              = optional(string)
    security_group_id = optional(string)
    sampled           = optional(number, 0.05)
    with_headers      = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.traces == null || can(regex("^https?://[^ /]+", var.traces.endpoint))
    error_message = "The endpoint must begin with http:// or https://."
  }

  # The ingestor and the proxies reach no other address of the internet than Discord's.
  validation {
    condition     = var.traces == null || try((var.traces.cidr == null) != (var.traces.security_group_id == null) && !endswith(coalesce(var.traces.cidr, "-"), "/0"), false)
    error_message = "The collector is at a network (cidr), which is not the whole internet, or has a security group."
  }

  validation {
    condition     = var.traces == null || try(var.traces.sampled >= 0 && var.traces.sampled <= 1, false)
    error_message = "The part of the traces is 0 to 1."
  }
}

variable "ingestor_variables" {
  description = "Further variables of the ingestor (.env.example), such as INGESTOR_WINDOW."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.ingestor_variables) : can(regex("^(INGESTOR_|SHARD_)[A-Z_]+$", name))])
    error_message = "Only INGESTOR_… and SHARD_… can be set here."
  }
}

variable "worker_variables" {
  description = "Further variables of the worker (.env.example), such as WORKER_PREFETCH."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.worker_variables) : name != "WORKER_GROUP" && can(regex("^(WORKER_[A-Z_]+|CHAIN_FINALIZED_DEPTH|DISCORD_APPROVALS_CHANNEL)$", name))])
    error_message = "Only WORKER_… without WORKER_GROUP, CHAIN_FINALIZED_DEPTH and DISCORD_APPROVALS_CHANNEL can be set here."
  }
}

variable "approvals_at_slack" {
  description = "Whether plans are shown for approval at Slack; the secrets slack-bot-token and slack-signing-secret must have values, and SLACK_APPROVALS_CHANNEL is in api_variables."
  type        = bool
  default     = false
}

variable "vault" {
  description = "HashiCorp Vault or OpenBao whose Transit engine signs (docs/signing.md): address, port, network or security group of the server; role ids of the AppRoles of workers and api; the one by which the kill switch revokes, with the policies; PEM of the certificate authority. Null: workers sign with the secret backup-signing-key."
  type = object({
    address           = string
    port              = optional(number, 8200)
    cidr              = optional(string)
    security_group_id = optional(string)
    worker_role_id    = string
    api_role_id       = string
    revoker_role_id   = optional(string)
    signing_policies  = optional(string, "arrakis-worker,arrakis-api")
    ca_certificate    = optional(string)
  })
  default = null

  validation {
    condition     = var.vault == null || can(regex("^https://[^/]+$", var.vault.address))
    error_message = "The address must begin with https:// and have no path."
  }

  validation {
    condition     = var.vault == null || try((var.vault.cidr == null) != (var.vault.security_group_id == null), false)
    error_message = "The server is at a network (cidr) or has a security group."
  }

  validation {
    condition     = try(var.vault.ca_certificate, null) == null || try(strcontains(var.vault.ca_certificate, "-----BEGIN CERTIFICATE-----") && length(var.vault.ca_certificate) < 8192, false)
    error_message = "The certificate authority must be PEM of less than 8 KiB."
  }
}

variable "control_variables" {
  description = "Further variables that workers and api have in common (.env.example): KILL_SWITCH_OPERATORS, APPROVAL_PEOPLE, VAULT_NAMESPACE, VAULT_TRANSIT_MOUNT, VAULT_TRANSIT_KEY, VAULT_AUTH_MOUNT."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.control_variables) : can(regex("^(KILL_SWITCH_OPERATORS|APPROVAL_PEOPLE|VAULT_(NAMESPACE|TRANSIT_MOUNT|TRANSIT_KEY|AUTH_MOUNT))$", name))])
    error_message = "Only KILL_SWITCH_OPERATORS, APPROVAL_PEOPLE, VAULT_NAMESPACE, VAULT_TRANSIT_MOUNT, VAULT_TRANSIT_KEY and VAULT_AUTH_MOUNT can be set here."
  }
}

variable "api_variables" {
  description = "Further variables of the api (.env.example), such as API_STALE_SYNC_HOURS."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.api_variables) : can(regex("^(API_[A-Z_]+|CHAIN_FINALIZED_DEPTH|APPROVAL_MFA_FROM_RISK|SLACK_APPROVALS_CHANNEL)$", name))])
    error_message = "Only API_…, CHAIN_FINALIZED_DEPTH, APPROVAL_MFA_FROM_RISK and SLACK_APPROVALS_CHANNEL can be set here."
  }
}

variable "backup_name_suffix" {
  description = "End of the names of bucket, tables, topic and rules of backups, for a second environment in one account; empty: the names of the documentation."
  type        = string
  default     = ""
}

variable "enable_cross_region_replication" {
  description = "Whether backups of the premium plan are replicated to a second region."
  type        = bool
  default     = false
}

variable "second_region" {
  description = "The second region."
  type        = string
  default     = "us-west-2"
}

variable "backup_trusted_keys" {
  description = "Public keys of earlier signing keys, whose backups are still accepted."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for key in var.backup_trusted_keys : can(regex("^[0-9a-f]{64}$", key))])
    error_message = "Each key must be 64 hexadecimal digits."
  }
}

variable "backup_notification_emails" {
  description = "Addresses that get notices about backups by e-mail: all, or failures."
  type        = map(string)
  default     = {}
}
