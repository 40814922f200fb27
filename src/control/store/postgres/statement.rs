//! Statements and values in PostgreSQL's terms.

use std::borrow::Cow;
use std::error::Error;

use deadpool_postgres::Object;
use futures_util::future::BoxFuture;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::store::{Row, Sql, StoreError, Value};

/// A connection with a transaction open.
pub(super) struct Session<'c> {
    pub(super) client: &'c Object,
}

impl Sql for Session<'_> {
    fn query<'a>(
        &'a mut self,
        sql: &'static str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(async move {
            let run = async {
                let statement = self.client.prepare_cached(&translate(sql)).await?;
                self.client.query(&statement, &by_reference(params)).await
            };
            let rows = run.await.map_err(|error| failed(sql, &error))?;
            rows.iter().map(row).collect()
        })
    }

    fn execute<'a>(
        &'a mut self,
        sql: &'static str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let run = async {
                let statement = self.client.prepare_cached(&translate(sql)).await?;
                self.client.execute(&statement, &by_reference(params)).await
            };
            run.await.map_err(|error| failed(sql, &error))
        })
    }
}

/// Tables are written with SQLite's name for bytes.
fn translate(sql: &'static str) -> Cow<'static, str> {
    if sql.starts_with("CREATE TABLE") {
        Cow::Owned(sql.replace(" BLOB", " BYTEA"))
    } else {
        Cow::Borrowed(sql)
    }
}

fn by_reference(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params
        .iter()
        .map(|value| value as &(dyn ToSql + Sync))
        .collect()
}

fn failed(sql: &'static str, error: &tokio_postgres::Error) -> StoreError {
    // The code alone: the server's text may quote values.
    let code = error.code().map(|code| code.code().to_owned());
    tracing::error!(code, statement = sql, "postgres failed");
    StoreError::Failed
}

fn row(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let columns = row.columns().iter().enumerate();
    let values = columns.map(|(index, column)| match *column.type_() {
        Type::INT8 => value(row.try_get(index), Value::Int),
        Type::INT4 => value(row.try_get(index), |int: i32| Value::Int(int.into())),
        Type::TEXT => value(row.try_get(index), Value::Text),
        Type::BYTEA => value(row.try_get(index), Value::Blob),
        _ => Err(StoreError::Corrupt),
    });
    values.collect::<Result<_, _>>().map(Row)
}

fn value<T>(
    read: Result<Option<T>, tokio_postgres::Error>,
    wrap: impl FnOnce(T) -> Value,
) -> Result<Value, StoreError> {
    Ok(read
        .map_err(|_| StoreError::Corrupt)?
        .map_or(Value::Null, wrap))
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            // A number that is compared with a literal has the literal's type.
            Self::Int(int) if *ty == Type::INT4 => i32::try_from(*int)?.to_sql(ty, out),
            Self::Int(int) => int.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Blob(blob) => blob.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::TEXT, Type::BYTEA].contains(ty)
    }

    to_sql_checked!();
}
