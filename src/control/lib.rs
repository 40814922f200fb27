//! The control service and the operator's tool.
