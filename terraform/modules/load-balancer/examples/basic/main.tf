module "load_balancer" {
  source = "../.."

  environment              = "staging"
  vpc_id                   = "vpc-0123456789abcdef0"
  public_subnet_ids        = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  target_security_group_id = "sg-0123456789abcdef0"

  interactions_enabled           = true
  interactions_security_group_id = "sg-0123456789abcdef1"

  certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
  kms_key_arn     = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
}
