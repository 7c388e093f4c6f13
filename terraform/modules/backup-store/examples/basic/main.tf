module "backup_store" {
  source = "../.."

  prefix                          = "production"
  enable_cross_region_replication = true
  second_region                   = "us-west-2"

  notification_emails = {
    "operators@example.org" = "failures"
  }
}
