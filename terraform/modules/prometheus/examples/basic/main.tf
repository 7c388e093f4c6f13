module "prometheus" {
  source = "../.."

  environment  = "staging"
  enabled      = true
  topic_arn    = "arn:aws:sns:eu-central-1:123456789012:arrakis-staging-alarms"
  runbooks_url = "https://github.com/arrakis-community/arrakis/blob/main/docs/runbooks"
  kms_key_arn  = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"

  rules = {
    storage = file("${path.module}/../../../../../deploy/prometheus/rules/storage.yaml")
  }

  inhibit_rules = [{
    source_matchers = ["alertname = answers-burn-fast"]
    target_matchers = ["alertname = answers-burn-slow"]
  }]
}
