module "database" {
  source = "../.."

  environment    = "staging"
  vpc_id         = "vpc-0123456789abcdef0"
  subnet_ids     = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  instance_class = "db.t4g.small"
  multi_az       = false
  kms_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"

  client_security_group_ids = {
    worker = "sg-0123456789abcdef0"
  }
}
