locals {
  name = "arrakis-${var.environment}"
}

# No value: an operator sets it with `aws secretsmanager put-secret-value`, so that it is in no state and in no variable of Terraform.
resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:Other parties issue these values (Discord, Telegram, providers of chains), or a process of ours has to follow; docs/operations/rotate-secrets.md has the steps.
  for_each = var.secrets

  name                    = "${local.name}/${each.key}"
  description             = each.value
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 30
}
