module "encryption" {
  source = "../../../encryption"

  environment = "staging"
}

module "secrets" {
  source = "../.."

  environment = "staging"
  kms_key_arn = module.encryption.key_arn

  secrets = {
    discord-token = "Bot token of the Discord application"
  }
}
