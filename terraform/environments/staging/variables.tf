variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-central-1"
}

variable "account_id" {
  description = "AWS account of this environment: an apply with the credentials of another one is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "The account must be 12 digits."
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
}

variable "public_image_digests" {
  description = "Digests of the public images beside the services: collector (aws-otel-collector), files (busybox), logins (postgres), signing-proxy (aws-sigv4-proxy)."
  type = object({
    collector     = string
    files         = string
    logins        = string
    signing-proxy = string
  })
}

variable "discord_application_id" {
  description = "Id of the Discord application."
  type        = string
}

variable "verify_base_url" {
  description = "Public address of the api, at which members open the wallet page."
  type        = string
}

variable "certificate_arn" {
  description = "ARN of the certificate in ACM for the host of verify_base_url."
  type        = string
}

variable "rds_ca_bundle" {
  description = "Certificate authorities of RDS in the region, PEM: https://truststore.pki.rds.amazonaws.com/REGION/REGION-bundle.pem."
  type        = string
}

variable "operator_cidrs" {
  description = "Networks of operators, which may open the broker's console."
  type        = set(string)
  default     = []
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
}

variable "discord_public_key" {
  description = "Public key of the Discord application, for interactions by HTTP."
  type        = string
  default     = ""
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
}

variable "control_variables" {
  description = "Further variables that workers and api have in common (.env.example): KILL_SWITCH_OPERATORS, APPROVAL_PEOPLE, VAULT_NAMESPACE, VAULT_TRANSIT_MOUNT, VAULT_TRANSIT_KEY, VAULT_AUTH_MOUNT."
  type        = map(string)
  default     = {}
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
}

variable "ingestor_variables" {
  description = "Further variables of the ingestor (.env.example), such as INGESTOR_WINDOW."
  type        = map(string)
  default     = {}
}

variable "worker_variables" {
  description = "Further variables of the worker (.env.example), such as WORKER_PREFETCH."
  type        = map(string)
  default     = {}
}

variable "api_variables" {
  description = "Further variables of the api (.env.example), such as API_STALE_SYNC_HOURS."
  type        = map(string)
  default     = {}
}

variable "backup_name_suffix" {
  description = "End of the names of bucket, tables, topic and rules of backups, for a second environment in one account; empty: the names of the documentation."
  type        = string
  default     = ""
}

variable "backup_trusted_keys" {
  description = "Public keys of earlier signing keys, whose backups are still accepted."
  type        = list(string)
  default     = []
}

variable "backup_notification_emails" {
  description = "Addresses that get notices about backups by e-mail: all, or failures."
  type        = map(string)
  default     = {}
}

variable "credential_versions" {
  description = "A new number makes a new password or token: docs/operations/rotate-secrets.md."
  type = object({
    broker         = optional(number, 1)
    cache          = optional(number, 1)
    database_app   = optional(number, 1)
    database_admin = optional(number, 1)
    database_owner = optional(number, 1)
  })
  default = {}
}

variable "cache_token_update_strategy" {
  description = "ROTATE: the old token of the cache works beside the new one. SET: only the new one works."
  type        = string
  default     = "ROTATE"
}
