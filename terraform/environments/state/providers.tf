provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      Environment = "shared"
      ManagedBy   = "terraform"
      Project     = "arrakis"
    }
  }
}
