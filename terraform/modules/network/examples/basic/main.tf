module "encryption" {
  source = "../../../encryption"

  environment = "staging"
}

module "network" {
  source = "../.."

  environment        = "staging"
  availability_zones = ["eu-central-1a", "eu-central-1b"]
  kms_key_arn        = module.encryption.key_arn
}
