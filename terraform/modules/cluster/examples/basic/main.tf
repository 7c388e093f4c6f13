module "cluster" {
  source = "../.."

  environment = "staging"
  vpc_id      = "vpc-0123456789abcdef0"
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
}
