//! A database for each test, with the schema and no rows.

use arrakis_config::Secret;
use arrakis_db::{Admin, Database, DatabaseOptions, scratch};
use url::Url;

use crate::environment::{required_url, run_in_thread, with_path};

/// A database that is dropped at the end of the test. It is copied from a template, which takes about 50 ms.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    owner: Url,
    app: Url,
    admin: Url,
}

impl TestDatabase {
    /// Creates a database.
    ///
    /// # Panics
    /// When `DATABASE_OWNER_URL`, `DATABASE_URL` or `DATABASE_ADMIN_URL` is not set or the server refuses.
    pub async fn create() -> Self {
        let (owner, app, admin) = ("DATABASE_OWNER_URL", "DATABASE_URL", "DATABASE_ADMIN_URL");
        Self::make(required_url(owner), required_url(app), required_url(admin)).await
    }

    /// Creates a database on another server, given the URLs of its three logins.
    ///
    /// # Panics
    /// When a URL is malformed or the server refuses.
    pub async fn create_at(owner: &str, app: &str, admin: &str) -> Self {
        let parsed = |url: &str| Url::parse(url).unwrap_or_else(|why| panic!("{url} is not a URL: {why}"));
        Self::make(parsed(owner), parsed(app), parsed(admin)).await
    }

    async fn make(owner: Url, app: Url, admin: Url) -> Self {
        let name = match scratch::create(owner.as_str()).await {
            Ok(name) => name,
            Err(why) => panic!("the test's database cannot be created: {why}"),
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

    /// URL with the owner's login.
    #[must_use]
    pub fn owner_url(&self) -> String {
        with_path(&self.owner, &self.name)
    }

    /// URL with the application's login, for a worker's `DATABASE_URL`.
    #[must_use]
    pub fn app_url(&self) -> String {
        with_path(&self.app, &self.name)
    }

    /// URL with the admin's login.
    #[must_use]
    pub fn admin_url(&self) -> String {
        with_path(&self.admin, &self.name)
    }

    /// A pool with the application's login. Each call opens a new one; clone it to share it.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn database(&self) -> Database {
        match Database::connect(&Secret::new(self.app_url()), few_connections()).await {
            Ok(database) => database,
            Err(why) => panic!("the application cannot connect to the test's database: {why}"),
        }
    }

    /// A pool with the admin's login.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn admin(&self) -> Admin {
        match Admin::connect(&Secret::new(self.admin_url()), few_connections()).await {
            Ok(admin) => admin,
            Err(why) => panic!("the admin cannot connect to the test's database: {why}"),
        }
    }
}

/// A small pool: many tests share one server.
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
        run_in_thread("dropping the test's database", async move {
            scratch::drop(&owner, &[&app, &admin], &name)
                .await
                .map_err(|why| why.to_string())
        });
    }
}
