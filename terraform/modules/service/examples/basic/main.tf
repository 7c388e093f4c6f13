module "telegram" {
  source = "../.."

  environment          = "staging"
  name                 = "telegram"
  image                = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/arrakis-staging-telegram:1.0.0"
  repository_arns      = ["arn:aws:ecr:eu-central-1:123456789012:repository/arrakis-staging-telegram"]
  cpu                  = 256
  memory               = 512
  cluster_arn          = "arn:aws:ecs:eu-central-1:123456789012:cluster/arrakis-staging"
  vpc_id               = "vpc-0123456789abcdef0"
  subnet_ids           = ["subnet-0123456789abcdef0"]
  kms_key_arn          = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  health_check_command = ["/usr/bin/arrakis-telegram", "healthcheck"]

  environment_variables = {
    API_URL         = "http://api.arrakis-staging.internal:8070"
    VERIFY_BASE_URL = "https://verify.example.org"
  }

  secrets = {
    TELEGRAM_BOT_TOKEN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:arrakis-staging/telegram-token-AbCdEf"
    API_CREDENTIAL     = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:arrakis-staging/telegram-api-credential-AbCdEf"
    REDIS_URL          = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:arrakis-staging/redis-credentials-AbCdEf:url::"
  }

  egress = {
    internet = { port = 443, cidr = "0.0.0.0/0" }
    api      = { port = 8070, security_group_id = "sg-0123456789abcdef0" }
    redis    = { port = 6379, security_group_id = "sg-0123456789abcdef1" }
  }
}
