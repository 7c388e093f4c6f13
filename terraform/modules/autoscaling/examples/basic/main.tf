module "autoscaling" {
  source = "../.."

  environment  = "staging"
  name         = "worker"
  cluster_name = "arrakis-staging"
  service_name = "arrakis-staging-worker"
  broker_name  = "arrakis-staging"
  queues       = ["arrakis.interactions.command", "arrakis.events.guild"]
}
