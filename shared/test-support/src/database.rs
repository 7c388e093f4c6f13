//! A database of its own for each test, with the whole schema and nothing in it.

use arrakis_config::Secret;
use arrakis_db::{Admin, Database, DatabaseOptions, scratch};
use url::Url;

use crate::environment::{required_url, run_apart, with_path};

/// A database that ends with the test. Copied from a template that had the migrations once, so it costs some 50 ms.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    owner: Url,
    app: Url,
    admin: Url,
}

impl TestDatabase {
    /// Makes one.
    ///
    /// # Panics
    /// When `DATABASE_OWNER_URL`, `DATABASE_URL` or `DATABASE_ADMIN_URL` is not set or the server refuses.
    pub async fn create() -> Self {
        let (owner, app, admin) = ("DATABASE_OWNER_URL", "DATABASE_URL", "DATABASE_ADMIN_URL");
        Self::make(required_url(owner), required_url(app), required_url(admin)).await
    }

    /// Makes one on another server, by the URLs of its three logins.
    ///
    /// # Panics
    /// When one is no URL or the server refuses.
    pub async fn create_at(owner: &str, app: &str, admin: &str) -> Self {
        let parsed = |url: &str| Url::parse(url).unwrap_or_else(|why| panic!("{url} is no URL: {why}"));
        Self::make(parsed(owner), parsed(app), parsed(admin)).await
    }

    async fn make(owner: Url, app: Url, admin: Url) -> Self {
        let name = match scratch::create(owner.as_str()).await {
            Ok(name) => name,
            Err(why) => panic!("no database for this test: {why}"),
        };
        Self {
            name,
            owner,
            app,
            admin,
        }
    }

    /// Its name on the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// URL by the owner's login.
    #[must_use]
    pub fn owner_url(&self) -> String {
        with_path(&self.owner, &self.name)
    }

    /// URL by the app's login: what a worker's `DATABASE_URL` is.
    #[must_use]
    pub fn app_url(&self) -> String {
        with_path(&self.app, &self.name)
    }

    /// URL by the admin's login.
    #[must_use]
    pub fn admin_url(&self) -> String {
        with_path(&self.admin, &self.name)
    }

    /// A pool by the app's login. Each call makes one; clone it to share it.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn database(&self) -> Database {
        match Database::connect(&Secret::new(self.app_url()), few_connections()).await {
            Ok(database) => database,
            Err(why) => panic!("the test's database cannot be reached: {why}"),
        }
    }

    /// The admin's login.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn admin(&self) -> Admin {
        match Admin::connect(&Secret::new(self.admin_url()), few_connections()).await {
            Ok(admin) => admin,
            Err(why) => panic!("the test's database cannot be reached by the admin: {why}"),
        }
    }
}

/// Many tests share one server.
fn few_connections() -> DatabaseOptions {
    DatabaseOptions {
        application_name: "test",
        max_connections: 5,
        ..DatabaseOptions::default()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (owner, app, admin) = (self.owner.to_string(), self.app.to_string(), self.admin.to_string());
        let name = self.name.clone();
        run_apart("dropping the test's database", async move {
            scratch::drop(&owner, &[&app, &admin], &name)
                .await
                .map_err(|why| why.to_string())
        });
    }
}
