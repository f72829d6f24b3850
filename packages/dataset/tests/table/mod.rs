//! Parquet files read back, value by value.
#![allow(dead_code, clippy::unwrap_used)] // each test uses its part

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use std::fs::File;
use std::path::Path;

pub struct Table {
    pub rows: Vec<Row>,
    /// Path, physical type and logical type of each column, named as pyarrow names them.
    pub columns: Vec<[String; 3]>,
    pub notes: Vec<(String, String)>,
}

pub fn read(path: &Path) -> Table {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr();
    let columns = schema.columns().iter().map(|column| {
        let logical = column.logical_type_ref().map_or("NONE".to_owned(), |t| format!("{t:?}").to_uppercase());
        [column.path().string(), column.physical_type().to_string(), logical]
    });
    let notes = reader.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    Table {
        columns: columns.collect(),
        notes: notes.map(|note| (note.key.clone(), note.value.clone().unwrap_or_default())).collect(),
        rows: reader.get_row_iter(None).unwrap().map(Result::unwrap).collect(),
    }
}

pub fn field<'a>(row: &'a Row, name: &str) -> &'a Field {
    row.get_column_iter().find(|(column, _)| *column == name).unwrap_or_else(|| panic!("no column {name}")).1
}

pub fn whole(row: &Row, name: &str) -> i64 {
    match field(row, name) {
        Field::Long(value) => *value,
        other => panic!("{name} is {other:?}"),
    }
}

pub fn floats(row: &Row, name: &str) -> Vec<f32> {
    match field(row, name) {
        Field::Float(value) => vec![*value],
        Field::ListInternal(list) => list
            .elements()
            .iter()
            .map(|element| match element {
                Field::Float(value) => *value,
                other => panic!("{name} holds {other:?}"),
            })
            .collect(),
        other => panic!("{name} is {other:?}"),
    }
}

/// The bytes of a picture.
pub fn picture(row: &Row, name: &str) -> Vec<u8> {
    let Field::Group(group) = field(row, name) else { panic!("{name} is no structure") };
    match field(group, "bytes") {
        Field::Bytes(bytes) => bytes.data().to_vec(),
        other => panic!("{name} is {other:?}"),
    }
}

/// As JSON, for what is compared with a golden file.
pub fn json(field: &Field) -> serde_json::Value {
    match field {
        Field::Null => serde_json::Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::Float(value) => f64::from(*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Str(value) => value.as_str().into(),
        Field::ListInternal(list) => list.elements().iter().map(json).collect::<Vec<_>>().into(),
        Field::Group(row) => row_json(row),
        other => panic!("{other:?} is not expected"),
    }
}

pub fn row_json(row: &Row) -> serde_json::Value {
    row.get_column_iter().map(|(name, field)| (name.clone(), json(field))).collect::<serde_json::Map<_, _>>().into()
}
