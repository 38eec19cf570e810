//! The verbs of a step: every command that [`Act`] describes is also a key of a step, and takes the same
//! arguments. A verb's value is one act or a list of them, and an act is written as its one argument, as its
//! arguments in order, or as a table of them:
//!
//! ```toml
//! kill = ["web-1"]
//! cut = [["web", "db"]]
//! slow = [{ link = ["web", "db"], by = "1s" }]      # link: from and to at once
//! partition = [["db-1"], ["db-2", "db-3"]]          # one act: its argument is a list itself
//! heal-all = true                                   # no arguments
//! ```

use std::fmt;
use std::sync::LazyLock;

use clap::Subcommand;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::{Table, Value};

use super::{Act, Spanned};

/// A verb, as the command line describes it.
#[derive(Debug)]
struct Verb {
    name: String,
    /// The names of its arguments, in order.
    fields: Vec<String>,
    /// True if its first argument is a list.
    takes_a_list: bool,
    /// True if an act can be written as its arguments in order, because all of them are required.
    in_order: bool,
    meaning: String,
}

static VERBS: LazyLock<Vec<Verb>> = LazyLock::new(|| {
    let commands = Act::augment_subcommands(clap::Command::new("act"));
    commands.get_subcommands().map(Verb::of).collect()
});

impl Verb {
    fn of(command: &clap::Command) -> Self {
        let is_list = |arg: &clap::Arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1);
        let meaning = command.get_about().map(ToString::to_string);
        Self {
            name: command.get_name().to_owned(),
            fields: command.get_arguments().map(|arg| arg.get_id().to_string()).collect(),
            takes_a_list: command.get_arguments().any(is_list),
            in_order: command.get_positionals().count() == command.get_arguments().count(),
            meaning: meaning.unwrap_or_default(),
        }
    }

    /// All acts in the value of the verb's key.
    fn acts(&self, written: Spanned<Written>) -> Result<Vec<Spanned<Act>>, String> {
        let span = written.span();
        let each = match written.into_inner() {
            Written::Each(each) if self.takes_a_list => {
                let list = each.into_iter().map(Spanned::into_inner).collect();
                vec![Spanned::new(span, Value::Array(vec![Value::Array(list)]))]
            }
            Written::Each(each) => each,
            Written::One(Value::Boolean(wanted)) if self.fields.is_empty() => {
                let none = Spanned::new(span, Value::Table(Table::new()));
                wanted.then_some(none).into_iter().collect()
            }
            Written::One(value) => vec![Spanned::new(span, value)],
        };
        each.into_iter().map(|value| Ok(Spanned::new(value.span(), self.act(value.into_inner())?))).collect()
    }

    fn act(&self, value: Value) -> Result<Act, String> {
        let mut fields = match value {
            Value::Table(table) => with_ends_of_link(table)?,
            Value::Array(values) if self.in_order && values.len() == self.fields.len() => {
                self.fields.iter().cloned().zip(values).collect()
            }
            value if self.in_order && self.fields.len() == 1 && !value.is_array() => {
                self.fields.iter().cloned().zip([value]).collect()
            }
            _ => return Err(format!("{} is written {}", self.name, self.pattern())),
        };
        fields.insert("act".into(), self.name.clone().into());
        let act = Act::deserialize(Value::Table(fields));
        act.map_err(|error| error.message().to_owned())
    }

    /// The pattern in which it is written in a step.
    fn pattern(&self) -> String {
        let quoted = |field: &String| format!("\"{}\"", field.to_uppercase());
        let links = self.fields.starts_with(&["from".into(), "to".into()]);
        match &self.fields[..] {
            [] => "true".into(),
            _ if self.takes_a_list => "[[\"NAME\", …], [\"NAME\", …]]".into(),
            [field] => format!("[{}, …]", quoted(field)),
            [from, to] if links => format!("[[{}, {}], …]", quoted(from), quoted(to)),
            fields => {
                let link = links.then(|| "link = [\"FROM\", \"TO\"]".to_owned());
                let rest = fields.iter().skip(if links { 2 } else { 0 });
                let rest = rest.map(|field| format!("{field} = {}", field.to_uppercase()));
                format!("[{{ {} }}, …]", link.into_iter().chain(rest).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// The table of all verbs for `docs/chapters.md`, one row each.
pub fn documentation() -> String {
    let row = |verb: &Verb| format!("| `{}` | `{}` | {} |\n", verb.name, verb.pattern(), verb.meaning);
    let rows: String = VERBS.iter().map(row).collect();
    format!("| key | written | what |\n|---|---|---|\n{rows}")
}

/// Adds every verb to the schema of a step.
pub(super) fn describe(step: &mut schemars::Schema) {
    let Some(properties) = step.get_mut("properties").and_then(|properties| properties.as_object_mut())
    else {
        return;
    };
    for verb in VERBS.iter() {
        let kinds = if verb.fields.is_empty() { vec!["boolean"] } else { vec!["string", "array", "object"] };
        let description = format!("{} Written {}.", verb.meaning, verb.pattern());
        let schema = schemars::json_schema!({ "type": kinds, "description": description });
        properties.insert(verb.name.clone(), schema.into());
    }
}

/// Expands the two ends of a link in a table: `link = ["web", "db"]`.
fn with_ends_of_link(mut fields: Table) -> Result<Table, String> {
    if let Some(link) = fields.remove("link") {
        let ends: [String; 2] =
            link.try_into().map_err(|_| "a link is written [\"FROM\", \"TO\"]".to_owned())?;
        fields.extend(["from", "to"].map(str::to_owned).into_iter().zip(ends.map(Value::String)));
    }
    Ok(fields)
}

/// The value of a verb's key.
#[derive(Debug)]
enum Written {
    One(Value),
    Each(Vec<Spanned<Value>>),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an act, or a list of acts")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Written, E> {
        Ok(Written::One(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Written, E> {
        Ok(Written::One(value.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
        Table::deserialize(MapAccessDeserializer::new(map)).map(|table| Written::One(table.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Written, A::Error> {
        let mut each = Vec::new();
        while let Some(value) = seq.next_element()? {
            each.push(value);
        }
        Ok(Written::Each(each))
    }
}

/// Reads the value of a verb's key.
struct ActsSeed(&'static Verb);

impl<'de> DeserializeSeed<'de> for ActsSeed {
    type Value = Vec<Spanned<Act>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let written = Spanned::<Written>::deserialize(deserializer)?;
        self.0.acts(written).map_err(D::Error::custom)
    }
}

/// Acts with the rank of their verb among all verbs.
type Ranked = Vec<(usize, Vec<Spanned<Act>>)>;

/// Reads a table whose keys are fields of a struct, or verbs. Returns the struct, and the acts in the order
/// of the verbs. Flattening one into the other would lose the line of each.
pub(super) fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    fields: impl FnOnce(WithoutVerbs<'_, D>) -> Result<T, D::Error>,
) -> Result<(T, Vec<Spanned<Act>>), D::Error> {
    let mut acts = Ranked::new();
    let read = fields(WithoutVerbs { inner: deserializer, acts: &mut acts })?;
    acts.sort_by_key(|(rank, _)| *rank);
    Ok((read, acts.into_iter().flat_map(|(_, acts)| acts).collect()))
}

/// A deserializer for a table that hides the verbs and shows all other keys.
pub(super) struct WithoutVerbs<'a, I> {
    inner: I,
    acts: &'a mut Ranked,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for WithoutVerbs<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_struct("", &[], visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let shown = Shown { inner: visitor, fields, acts: self.acts };
        self.inner.deserialize_struct(name, fields, shown)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Shows a visitor, or the reader of a map, only the fields.
struct Shown<'a, I> {
    inner: I,
    fields: &'static [&'static str],
    acts: &'a mut Ranked,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Shown<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(formatter)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Shown { inner: map, fields: self.fields, acts: self.acts })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Shown<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let mut seed = Some(seed);
        loop {
            match self.inner.next_key_seed(KeySeed { field: &mut seed, fields: self.fields })? {
                None => return Ok(None),
                Some(Key::Field(field)) => return Ok(Some(field)),
                Some(Key::Verb(rank, verb)) => {
                    self.acts.push((rank, self.inner.next_value_seed(ActsSeed(verb))?));
                }
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }
}

enum Key<F> {
    Field(F),
    Verb(usize, &'static Verb),
}

struct KeySeed<'s, F> {
    field: &'s mut Option<F>,
    fields: &'static [&'static str],
}

impl<'de, F: DeserializeSeed<'de>> DeserializeSeed<'de> for KeySeed<'_, F> {
    type Value = Key<F::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        use serde::de::IntoDeserializer;
        let key = String::deserialize(deserializer)?;
        if let Some(rank) = VERBS.iter().position(|verb| verb.name == key) {
            return Ok(Key::Verb(rank, &VERBS[rank]));
        }
        match self.field.take().filter(|_| self.fields.contains(&key.as_str())) {
            Some(field) => field.deserialize(key.into_deserializer()).map(Key::Field),
            None => {
                let known = self.fields.iter().copied().chain(VERBS.iter().map(|verb| verb.name.as_str()));
                let known = known.map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
                Err(D::Error::custom(format!("unknown field `{key}`, expected one of {known}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::step::Step;
    use super::*;

    fn step(verbs: &str) -> Result<Vec<Act>, String> {
        let step = toml::from_str::<Step>(&format!("name = 's'\nsay = 's'\n{verbs}"));
        let acts = step.map_err(|error| error.to_string())?.acts;
        Ok(acts.into_iter().map(Spanned::into_inner).collect())
    }

    #[test]
    fn acts_are_written_by_argument_in_order_or_by_name() {
        let by = super::super::Span(std::time::Duration::from_secs(1));
        let [a, b] = ["a", "b"].map(str::to_owned);
        let slow = Act::Slow { from: a.clone(), to: b.clone(), by };
        assert_eq!(step("slow = [{ link = ['a', 'b'], by = '1s' }]").unwrap(), std::slice::from_ref(&slow));
        assert_eq!(step("slow = { from = 'a', to = 'b', by = '1s' }").unwrap(), [slow]);
        assert_eq!(step("cut = [['a', 'b']]").unwrap(), [Act::Cut { from: a.clone(), to: b.clone() }]);
        assert_eq!(step("add = 'a'").unwrap(), [Act::Add { kind: a.clone() }]);
        let groups = vec![vec![a.clone()], vec![b]];
        assert_eq!(step("partition = [['a'], ['b']]").unwrap(), [Act::Partition { groups }]);
        assert_eq!(step("heal-all = true").unwrap(), [Act::HealAll]);
        assert_eq!(step("heal-all = false").unwrap(), []);
        let sized = Act::Resize { name: a, cores: Some(4), memory: Some(bytesize::ByteSize::gib(1)) };
        assert_eq!(step("resize = [{ name = 'a', cores = 4, memory = '1GiB' }]").unwrap(), [sized]);
    }

    #[test]
    fn the_schema_of_a_step_has_every_verb() {
        let schema = schemars::schema_for!(Step);
        for verb in VERBS.iter() {
            let known = schema.pointer(&format!("/properties/{}", verb.name));
            assert!(known.is_some(), "{}", verb.name);
        }
    }

    #[test]
    fn acts_happen_in_the_order_of_the_verbs() {
        let acts = step("heal-all = true\nrestart = ['a']\nkill = ['a', 'b']").unwrap();
        let [a, b] = ["a", "b"].map(str::to_owned);
        let kills = [a.clone(), b].map(|name| Act::Kill { name });
        assert_eq!(acts[..2], kills);
        assert_eq!(acts[2..], [Act::Restart { name: a }, Act::HealAll]);
    }

    #[test]
    fn what_is_written_wrongly_is_refused_with_how_it_is_written() {
        let refused = |verbs: &str| step(verbs).expect_err("should be refused");
        let said = refused("cut = [['a']]");
        assert!(said.contains("cut is written [[\"FROM\", \"TO\"], …]"), "{said}");
        assert!(said.contains("line 3"), "{said}");
        let said = refused("kill = [5]");
        assert!(said.contains("invalid type: integer `5`, expected a string"), "{said}");
        let said = refused("resize = ['a']");
        assert!(said.contains("resize is written [{ name = NAME, cores = CORES, memory"), "{said}");
        let said = refused("resize = [{ name = 'a', cores = 0 }]");
        assert!(said.contains("cores is from 1 to 1024, not 0"), "{said}");
        let said = refused("slow = [{ link = ['a', 'b'], by = '1s', for = '2s' }]");
        assert!(said.contains("unknown field `for`"), "{said}");
        let said = refused("kil = ['a']");
        assert!(
            said.contains("unknown field `kil`") && said.contains("`measure`") && said.contains("`kill`")
        );
    }

    #[test]
    fn the_documentation_lists_every_verb() {
        documented::check_table("docs/chapters.md", "verbs", &documentation());
    }
}
