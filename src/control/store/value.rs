//! What goes into a statement and comes out of it.

use super::StoreError;

/// One parameter or one column. Numbers are 64-bit, times are Unix seconds or milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// One row, its columns in the order of the statement.
#[derive(Debug)]
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    pub(crate) fn int(&self, column: usize) -> Result<u64, StoreError> {
        self.opt_int(column)?.ok_or(StoreError::Corrupt)
    }

    pub(crate) fn opt_int(&self, column: usize) -> Result<Option<u64>, StoreError> {
        match self.0.get(column) {
            Some(Value::Int(int)) => (*int).try_into().map(Some).map_err(|_| StoreError::Corrupt),
            Some(Value::Null) => Ok(None),
            _ => Err(StoreError::Corrupt),
        }
    }

    pub(crate) fn text(&self, column: usize) -> Result<String, StoreError> {
        self.opt_text(column)?.ok_or(StoreError::Corrupt)
    }

    pub(crate) fn opt_text(&self, column: usize) -> Result<Option<String>, StoreError> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(Value::Null) => Ok(None),
            _ => Err(StoreError::Corrupt),
        }
    }

    pub(crate) fn opt_blob(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        match self.0.get(column) {
            Some(Value::Blob(blob)) => Ok(Some(blob.clone())),
            Some(Value::Null) => Ok(None),
            _ => Err(StoreError::Corrupt),
        }
    }

    pub(crate) fn digest(&self, column: usize) -> Result<[u8; 16], StoreError> {
        match self.0.get(column) {
            Some(Value::Blob(blob)) => blob.as_slice().try_into().map_err(|_| StoreError::Corrupt),
            _ => Err(StoreError::Corrupt),
        }
    }
}

impl From<u64> for Value {
    fn from(int: u64) -> Self {
        // A time past the year 292 billion means "never" just as well.
        Self::Int(int.min(i64::MAX as u64) as i64)
    }
}

impl From<usize> for Value {
    fn from(int: usize) -> Self {
        Self::from(int as u64)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(blob: Vec<u8>) -> Self {
        Self::Blob(blob)
    }
}

impl From<[u8; 16]> for Value {
    fn from(digest: [u8; 16]) -> Self {
        Self::Blob(digest.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
