module "platform" {
  source = "../.."

  environment            = "staging"
  availability_zones     = ["eu-central-1a", "eu-central-1b"]
  single_nat_gateway     = true
  discord_application_id = "123456789012345678"
  verify_base_url        = "https://verify.example.org"
  certificate_arn        = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
  rds_ca_bundle          = "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"

  image_tags = {
    api           = "1.0.0"
    discord-proxy = "1.0.0"
    ingestor      = "1.0.0"
    interactions  = "1.0.0"
    telegram      = "1.0.0"
    worker        = "1.0.0"
  }

  public_image_digests = {
    collector     = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
    files         = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
    logins        = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
    signing-proxy = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }

  broker = {
    deployment_mode = "SINGLE_INSTANCE"
    instance_type   = "mq.m7g.medium"
  }

  database = {
    instance_class    = "db.t4g.small"
    multi_az          = false
    connections_alarm = 150
  }

  cache = {
    node_type     = "cache.t4g.small"
    replica_count = 0
  }
}
