//! The description of the read API as people read it: its questions, their parameters and answers, and what stands in
//! them. Pure: what it is drawn of is the description for programs.

use serde::Serialize;
use serde_json::Value;

/// A page: `reference.html`.
#[derive(Serialize)]
pub(super) struct Reference {
    /// Paragraphs.
    about: Vec<Vec<Piece>>,
    groups: Vec<Group>,
    shapes: Vec<Shape>,
}

/// Questions of one kind.
#[derive(Serialize)]
struct Group {
    name: String,
    about: Vec<Piece>,
    questions: Vec<Question>,
}

#[derive(Serialize)]
struct Question {
    id: String,
    path: String,
    /// Where it needs nothing to be asked.
    link: bool,
    about: Vec<Piece>,
    parameters: Vec<Part>,
    answers: Vec<Answer>,
}

/// A parameter, or a key.
#[derive(Serialize)]
struct Part {
    name: String,
    kind: Vec<Word>,
    about: Vec<Piece>,
}

#[derive(Serialize)]
struct Answer {
    status: String,
    about: Vec<Piece>,
    contents: Vec<Content>,
}

#[derive(Serialize)]
struct Content {
    /// May be broken between these.
    kind: Vec<String>,
    shape: Vec<Word>,
}

/// What has keys, or is one of some words.
#[derive(Serialize)]
struct Shape {
    name: String,
    about: Vec<Piece>,
    words: Vec<String>,
    keys: Vec<Part>,
}

/// A piece of a sentence: words, or a name out of the API.
#[derive(Serialize)]
struct Piece {
    text: String,
    code: bool,
}

/// A piece of what something is, which may lead to a shape.
#[derive(Serialize)]
struct Word {
    text: String,
    shape: bool,
}

impl Reference {
    /// Of an OpenAPI document.
    pub(super) fn of(document: &Value) -> Reference {
        let groups = items(&document["tags"]).map(|tag| Group {
            name: text(&tag["name"]),
            about: said(&tag["description"]),
            questions: questions(document, &tag["name"]),
        });
        let shapes = pairs(&document["components"]["schemas"]).map(|(name, schema)| Shape {
            name: name.clone(),
            about: said(&schema["description"]),
            words: items(&schema["enum"]).map(text).collect(),
            keys: keys(schema),
        });
        let about = text(&document["info"]["description"]);
        Reference {
            about: about.split("\n\n").map(pieces).collect(),
            groups: groups.collect(),
            shapes: shapes.collect(),
        }
    }
}

fn questions(document: &Value, tag: &Value) -> Vec<Question> {
    let asked = pairs(&document["paths"]).map(|(path, item)| (path, &item["get"]));
    asked
        .filter(|(_, get)| items(&get["tags"]).any(|of| of == tag))
        .map(|(path, get)| Question {
            id: text(&get["operationId"]),
            path: path.clone(),
            link: !path.contains('{'),
            about: said(if get["description"].is_null() { &get["summary"] } else { &get["description"] }),
            parameters: items(&get["parameters"]).map(parameter).collect(),
            answers: pairs(&get["responses"]).map(|(status, answer)| self::answer(status, answer)).collect(),
        })
        .collect()
}

fn parameter(parameter: &Value) -> Part {
    Part {
        name: text(&parameter["name"]),
        kind: kind(&parameter["schema"]),
        about: said(&parameter["description"]),
    }
}

fn answer(status: &str, answer: &Value) -> Answer {
    let contents = pairs(&answer["content"]).map(|(kind_of, content)| Content {
        kind: kind_of.split_inclusive('/').map(Into::into).collect(),
        shape: kind(&content["schema"]),
    });
    Answer { status: status.into(), about: said(&answer["description"]), contents: contents.collect() }
}

/// Those of a shape, and of what it is composed of.
fn keys(schema: &Value) -> Vec<Part> {
    let own = pairs(&schema["properties"]).map(|(name, of)| Part {
        name: name.clone(),
        kind: kind(of),
        about: said(description(of)),
    });
    let of_others = items(&schema["allOf"]).flat_map(|part| match &part["$ref"] {
        Value::Null => keys(part),
        _ => vec![Part { name: "…".into(), kind: kind(part), about: pieces("All keys of it.") }],
    });
    own.chain(of_others).collect()
}

/// What may stand there, in words.
fn kind(schema: &Value) -> Vec<Word> {
    let plain = |text: String| vec![Word { text, shape: false }];
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap_or_default();
        return vec![Word { text: name.into(), shape: true }];
    }
    let choices: Vec<&Value> = items(&schema["oneOf"]).chain(items(&schema["allOf"])).collect();
    if !choices.is_empty() {
        return joined(choices.into_iter().map(kind), " or ");
    }
    if schema["enum"].is_array() {
        return plain(items(&schema["enum"]).map(text).collect::<Vec<_>>().join(" or "));
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    joined(
        types.iter().map(|one| match one.as_str() {
            Some("array") => {
                let mut words = plain("list of ".into());
                words.extend(kind(&schema["items"]));
                words
            }
            Some("string") if schema["format"] == "date-time" => plain("instant".into()),
            Some("string") if schema["format"] == "date" => plain("day".into()),
            Some("integer") if schema["maximum"].is_number() => {
                plain(format!("{} to {}", schema["minimum"], schema["maximum"]))
            }
            Some(other) => plain(other.into()),
            None => plain("anything".into()),
        }),
        " or ",
    )
}

fn joined(parts: impl Iterator<Item = Vec<Word>>, between: &str) -> Vec<Word> {
    let mut all: Vec<Word> = Vec::new();
    for part in parts {
        if !all.is_empty() {
            all.push(Word { text: between.into(), shape: false });
        }
        all.extend(part);
    }
    all
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn pairs(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Of what may be null it stands with what it is else.
fn description(schema: &Value) -> &Value {
    let own = &schema["description"];
    let others = items(&schema["oneOf"]).map(|one| &one["description"]);
    [own].into_iter().chain(others).find(|description| description.is_string()).unwrap_or(own)
}

fn said(value: &Value) -> Vec<Piece> {
    pieces(value.as_str().unwrap_or_default())
}

/// What stands between backticks is a name.
fn pieces(text: &str) -> Vec<Piece> {
    let parts = text.split('`').enumerate();
    parts
        .map(|(n, text)| Piece { text: text.into(), code: n % 2 == 1 })
        .filter(|piece| !piece.text.is_empty())
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}
