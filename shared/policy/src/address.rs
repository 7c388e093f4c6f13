//! Reads mode, type and name of a resource from its address in Terraform: `module.a["x.y"].aws_db_instance.main[0]`.

/// The mode, type and name in an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressType<'a> {
    /// Whether it is a data source.
    pub(crate) data: bool,
    /// The type of the resource.
    pub(crate) kind: &'a str,
    /// The name of the resource.
    pub(crate) name: &'a str,
}

/// Reads the type from an address. `None` when the address has no valid form.
pub(crate) fn type_of(address: &str) -> Option<AddressType<'_>> {
    let mut parts = split(address)?.into_iter().peekable();
    while parts.peek() == Some(&"module") {
        parts.next();
        parts.next()?;
    }
    let mut data = false;
    let mut kind = parts.next()?;
    if kind == "data" {
        (data, kind) = (true, parts.next()?);
    }
    let name = parts.next()?;
    (parts.next().is_none() && is_name(kind)).then_some(AddressType { data, kind, name })
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|character| character.is_alphanumeric() || "_-".contains(character))
}

/// The names between dots, without instance keys. Keys may contain any character within quotes.
fn split(address: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut rest = address;
    loop {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() {
            return None;
        }
        parts.push(name);
        rest = &rest[end..];
        if rest.starts_with('[') {
            rest = &rest[key_length(rest)?..];
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None => return rest.is_empty().then_some(parts),
        }
    }
}

/// Length of an instance key with its brackets.
fn key_length(text: &str) -> Option<usize> {
    let inner = &text[1..];
    if !inner.starts_with('"') {
        return inner.find(']').map(|end| end + 2);
    }
    let bytes = inner.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return (bytes.get(at + 1) == Some(&b']')).then_some(at + 3),
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_type(address: &str, data: bool, kind: &str, name: &str) {
        assert_eq!(type_of(address), Some(AddressType { data, kind, name }), "{address}");
    }

    #[test]
    fn types_are_read_from_every_form() {
        assert_type("aws_db_instance.main", false, "aws_db_instance", "main");
        assert_type(
            "module.a.module.b[0].aws_db_instance.main[\"x\"]",
            false,
            "aws_db_instance",
            "main",
        );
        assert_type(
            "module.a[\"b.aws_x.y\"].aws_ebs_volume.é[0]",
            false,
            "aws_ebs_volume",
            "é",
        );
        assert_type(
            "module.a[\"q\\\"].aws_x.y\"].google_sql_database.d",
            false,
            "google_sql_database",
            "d",
        );
        assert_type("data.aws_x.y", true, "aws_x", "y");
    }

    #[test]
    fn other_texts_have_no_type() {
        for address in [
            "",
            "a",
            "a.b.c",
            "module.a",
            ".a.b",
            "a..b",
            "a.b[\"x]",
            "a.b[\"x\"",
            "a b.c",
            "a.b[0]c",
        ] {
            let found = type_of(address);
            assert!(found.is_none(), "{address}: {found:?}");
        }
    }
}
