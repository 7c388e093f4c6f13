//! Values of variables: parsing by type, and substitution of `${name}` in texts. Shared by themes and gaib's configuration.

use arrakis_domain::{Color, Value, VariableType};

/// Whether a text can name a variable or a flag: lower-case letters, digits and `_`, starting with a letter.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase()) && name.bytes().all(allowed)
}

/// Parses a text as a value of this type; the items of a list are separated by commas.
///
/// # Errors
///
/// Why the text is not such a value.
pub fn parse_value(kind: VariableType, text: &str) -> Result<Value, String> {
    match kind {
        VariableType::Text => Ok(Value::Text(text.to_owned())),
        VariableType::Color => text
            .parse::<Color>()
            .map(Value::Color)
            .map_err(|error| error.to_string()),
        VariableType::Boolean => match text {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            _ => Err(format!("`{text}` is neither `true` nor `false`")),
        },
        VariableType::Number => text
            .parse()
            .map(Value::Number)
            .map_err(|_| format!("`{text}` is not a whole number")),
        VariableType::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::List(items.map(str::to_owned).collect()))
        }
    }
}

/// The text that a reference to this value is replaced by; `None` for a list, which cannot be substituted.
#[must_use]
pub fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Color(color) => Some(color.to_string()),
        Value::Boolean(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::List(_) => None,
    }
}

/// Replaces each `${name}` in a text by the result of `lookup`; `$${` stands for `${` itself.
///
/// # Errors
///
/// The name at fault, if there is one, and the reason.
pub fn expand(
    text: &str,
    mut lookup: impl FnMut(&str) -> Result<String, String>,
) -> Result<String, (Option<String>, String)> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            expanded.push_str(&rest[..start - 1]);
            expanded.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        expanded.push_str(&rest[..start]);
        let inside = &rest[start + 2..];
        let end = inside.find('}').ok_or_else(|| {
            (
                None,
                "`${` is not closed by `}`; write `$${` for a literal `${`".to_owned(),
            )
        })?;
        let name = &inside[..end];
        expanded.push_str(&lookup(name).map_err(|reason| (Some(name.to_owned()), reason))?);
        rest = &inside[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        let lookup = |name: &str| {
            if name == "a" {
                Ok("A".to_owned())
            } else {
                Err(format!("no {name}"))
            }
        };
        expand(text, lookup).map_err(|(_, reason)| reason)
    }

    #[test]
    fn references_are_replaced() {
        assert_eq!(expanded("${a}-${a}").unwrap(), "A-A");
        assert_eq!(expanded("$a {a} $").unwrap(), "$a {a} $");
        assert_eq!(expanded("$${a} ${a}").unwrap(), "${a} A");
        assert_eq!(expanded("${b}"), Err("no b".into()));
        assert!(expanded("${a").unwrap_err().contains("not closed"));
        assert_eq!(expanded("${}"), Err("no ".into()));
    }
}
