# The bucket of all other states of an account, applied once. Its own state is small and local at first; README.md moves it into the bucket.

module "state" {
  source = "../../modules/state"
}
