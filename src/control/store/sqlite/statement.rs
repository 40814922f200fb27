//! Statements and values in SQLite's terms.

use std::collections::HashMap;

use futures_util::future::{BoxFuture, ready};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement, ToSql};

use crate::store::{Row, Sql, StoreError, Value};

/// Statements as this store writes them, and in SQLite's spelling of numbered parameters.
pub(super) type Translated = HashMap<&'static str, String>;

/// A connection with a transaction open.
pub(super) struct Session<'c> {
    pub(super) connection: &'c mut Connection,
    /// The statements with SQLite's spelling of numbered parameters.
    pub(super) translated: &'c mut Translated,
}

impl Session<'_> {
    fn run<T>(
        &mut self,
        sql: &'static str,
        params: &[Value],
        body: impl FnOnce(&mut Statement<'_>, &[&dyn ToSql]) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let text = self
            .translated
            .entry(sql)
            .or_insert_with(|| sql.replace('$', "?"));
        let params: Vec<&dyn ToSql> = params.iter().map(|value| value as &dyn ToSql).collect();
        let result = self
            .connection
            .prepare_cached(text)
            .and_then(|mut statement| body(&mut statement, &params));
        result.map_err(|error| {
            tracing::error!(%error, statement = sql, "sqlite failed");
            StoreError::Failed
        })
    }
}

impl Sql for Session<'_> {
    fn query<'a>(
        &'a mut self,
        sql: &'static str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        let rows = self.run(sql, params, |statement, params| {
            let columns = statement.column_count();
            let rows = statement.query_map(params, |row| {
                (0..columns)
                    .map(|column| from_sqlite(row.get_ref(column)?))
                    .collect()
            })?;
            rows.map(|row| row.map(Row)).collect()
        });
        Box::pin(ready(rows))
    }

    fn execute<'a>(
        &'a mut self,
        sql: &'static str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        let changed = self.run(sql, params, |statement, params| statement.execute(params));
        Box::pin(ready(changed.map(|changed| changed as u64)))
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Result<Value, rusqlite::Error> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(int) => Value::Int(int),
        ValueRef::Text(_) => Value::Text(value.as_str()?.to_owned()),
        ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
        ValueRef::Real(_) => return Err(rusqlite::Error::IntegralValueOutOfRange(0, 0)),
    })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => rusqlite::types::Null.into(),
            Self::Int(int) => (*int).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Blob(blob) => blob.as_slice().into(),
        })
    }
}
