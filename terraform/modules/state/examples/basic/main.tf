module "state" {
  source = "../.."
}
