module "broker" {
  source = "../.."

  environment     = "staging"
  vpc_id          = "vpc-0123456789abcdef0"
  subnet_ids      = ["subnet-0123456789abcdef0"]
  deployment_mode = "SINGLE_INSTANCE"
  instance_type   = "mq.m7g.medium"
  kms_key_arn     = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  console_cidrs   = ["10.8.0.0/24"]

  client_security_group_ids = {
    ingestor = "sg-0123456789abcdef0"
  }
}
