# A task that migrates the database and ends.
module "migrate" {
  source = "../.."

  environment     = "staging"
  name            = "migrate"
  image           = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/arrakis-staging-worker:1.0.0"
  repository_arns = ["arn:aws:ecr:eu-central-1:123456789012:repository/arrakis-staging-worker"]
  command         = ["migrate"]
  cpu             = 256
  memory          = 512
  vpc_id          = "vpc-0123456789abcdef0"
  kms_key_arn     = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"

  secrets = {
    DATABASE_OWNER_URL = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:arrakis-staging/database-owner-AbCdEf:url::"
  }

  egress = {
    database = { port = 5432, security_group_id = "sg-0123456789abcdef0" }
  }
}
