module "encryption" {
  source = "../.."

  environment = "staging"
}
