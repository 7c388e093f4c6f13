//! The committed data of each query match the current schema. `deploy/dev/sqlx-prepare.sh` updates them.

use std::path::Path;

use arrakis_test_support::TestDatabase;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Column, Either, Executor, SqlSafeStr, Statement, TypeInfo};

use crate::fixtures::connect;

/// A normalised name of a type: `Timestamptz` and `TIMESTAMPTZ`, `TextArray` and `TEXT[]` are the same type.
fn normalised(name: &str) -> String {
    name.to_lowercase().replace("[]", "array")
}

#[tokio::test]
async fn committed_data_of_every_query_match_the_schema() {
    let test = TestDatabase::create().await;
    let mut owner = connect(&test.owner_url()).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() > 40, "{} holds {} queries", folder.display(), files.len());
    for file in files {
        let data: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let query = data["query"].as_str().unwrap();
        let statement = match owner.prepare(AssertSqlSafe(query.to_owned()).into_sql_str()).await {
            Ok(statement) => statement,
            Err(why) => panic!("{why}; run deploy/dev/sqlx-prepare.sh. The query:\n{query}"),
        };
        let columns: Vec<_> = statement
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), normalised(column.type_info().name())))
            .collect();
        let committed: Vec<_> = data["describe"]["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| {
                (
                    column["name"].as_str().unwrap().to_owned(),
                    normalised(column["type_info"].as_str().unwrap()),
                )
            })
            .collect();
        assert_eq!(
            columns, committed,
            "run deploy/dev/sqlx-prepare.sh: the columns differ in\n{query}"
        );
        let Some(Either::Left(types)) = statement.parameters() else {
            panic!("no types of parameters: {query}")
        };
        let types: Vec<_> = types.iter().map(|info| normalised(info.name())).collect();
        let committed: Vec<_> = data["describe"]["parameters"]["Left"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| normalised(name.as_str().unwrap()))
            .collect();
        assert_eq!(
            types, committed,
            "run deploy/dev/sqlx-prepare.sh: the parameters differ in\n{query}"
        );
    }
}
