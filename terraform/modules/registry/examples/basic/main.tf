module "encryption" {
  source = "../../../encryption"

  environment = "staging"
}

module "registry" {
  source = "../.."

  environment = "staging"
  kms_key_arn = module.encryption.key_arn
}
