module "schedules" {
  source = "../.."

  environment                = "staging"
  enabled                    = true
  cluster_arn                = "arn:aws:ecs:eu-central-1:123456789012:cluster/arrakis-staging"
  task_definition_arn        = "arn:aws:ecs:eu-central-1:123456789012:task-definition/arrakis-staging-backup:1"
  task_definition_family_arn = "arn:aws:ecs:eu-central-1:123456789012:task-definition/arrakis-staging-backup"
  family                     = "arrakis-staging-backup"
  role_arns                  = ["arn:aws:iam::123456789012:role/arrakis-staging-backup-execution", "arn:aws:iam::123456789012:role/arrakis-staging-backup-task"]
  subnet_ids                 = ["subnet-0123456789abcdef0"]
  security_group_id          = "sg-0123456789abcdef0"
  log_group_name             = "/arrakis/staging/backup"
  topic_arn                  = "arn:aws:sns:eu-central-1:123456789012:arrakis-staging-alarms"
  kms_key_arn                = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
}
