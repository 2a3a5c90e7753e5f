//! Reads from an HTML page what a browser without a screen needs: its title, its messages and its forms. Tolerant
//! as browsers are: nothing here can fail, what makes no sense is skipped.

/// What a page says and asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Text of its `<title>`.
    pub(super) title: String,
    /// Texts of elements that are marked as messages or errors.
    pub(super) messages: Vec<String>,
    /// Its forms.
    pub(super) forms: Vec<Form>,
}

/// One form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// Where it goes, as written in the page; empty means the page's own address.
    pub(super) action: String,
    /// Fields that are sent, in order.
    pub(super) fields: Vec<Field>,
    /// Buttons that send something when pressed.
    pub(super) buttons: Vec<Field>,
}

/// A field or button.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: String,
    /// Its value as the page has it.
    pub(super) value: String,
    /// Its type in lower case (`text`, `password`, `hidden`).
    pub(super) kind: String,
}

/// Classes and ids by which pages mark what went wrong.
const MESSAGE_MARKS: [&str; 5] = [
    "flash-message",
    "alert",
    "feedback-text",
    "error-message",
    "instruction",
];
/// Elements without content and end.
const VOID: [&str; 6] = ["input", "br", "hr", "img", "link", "meta"];

impl Page {
    /// Reads `html`.
    pub(super) fn read(html: &str) -> Self {
        let mut reader = Reader::default();
        let mut rest = html;
        while let Some(start) = rest.find('<') {
            reader.text(&rest[..start]);
            rest = &rest[start..];
            rest = match Tag::read(rest) {
                Some((tag, after)) => {
                    let raw_end = raw_text_end(&tag, after);
                    reader.tag(&tag);
                    &after[raw_end..]
                }
                None => after_other_markup(rest),
            };
        }
        reader.text(rest);
        reader.page
    }
}

impl Form {
    /// Whether a password is asked for.
    pub(super) fn asks_password(&self) -> bool {
        self.fields.iter().any(|field| field.kind == "password")
    }

    /// What is sent when `person` logs in with `password`: the name goes into the text field before the password.
    pub(super) fn filled(&self, person: &str, password: &str) -> Vec<(String, String)> {
        let is_password = |field: &Field| field.kind == "password";
        let at = self
            .fields
            .iter()
            .position(is_password)
            .unwrap_or(self.fields.len());
        let name_at = self.fields[..at]
            .iter()
            .rposition(|field| matches!(field.kind.as_str(), "text" | "email"));
        let fields = self.fields.iter().enumerate();
        fields
            .map(|(index, field)| {
                let value = match () {
                    () if Some(index) == name_at => person,
                    () if index == at => password,
                    () => &field.value,
                };
                (field.name.clone(), value.to_owned())
            })
            .collect()
    }

    /// What is sent when the button `name` with `value` is pressed; `None` when there is no such button.
    pub(super) fn pressed(&self, name: &str, value: &str) -> Option<Vec<(String, String)>> {
        let button = self
            .buttons
            .iter()
            .find(|button| button.name == name && button.value == value)?;
        let pairs = self.fields.iter().chain([button]);
        Some(
            pairs
                .map(|field| (field.name.clone(), field.value.clone()))
                .collect(),
        )
    }
}

/// What was read so far, and inside of what the reader is.
#[derive(Default)]
struct Reader {
    page: Page,
    in_title: bool,
    in_form: bool,
    message: Option<Message>,
}

/// A message element whose end is not reached: its tag, and how many of the same tag are open.
struct Message {
    tag: String,
    depth: usize,
    text: String,
}

impl Reader {
    fn text(&mut self, text: &str) {
        if self.in_title {
            self.page.title.push_str(text);
        }
        if let Some(message) = &mut self.message {
            message.text.push_str(text);
            message.text.push(' ');
        }
    }

    fn tag(&mut self, tag: &Tag) {
        self.follow_message(tag);
        match (tag.name.as_str(), tag.is_end) {
            ("title", is_end) => self.end_title(is_end),
            ("form", false) => {
                self.in_form = true;
                self.page.forms.push(Form {
                    action: tag.value("action"),
                    ..Form::default()
                });
            }
            ("form", true) => self.in_form = false,
            ("input" | "button", false) if self.in_form => self.field(tag),
            _ => {}
        }
    }

    fn end_title(&mut self, is_end: bool) {
        // Drawings inside the page have titles too; the first is the page's.
        self.in_title = !is_end && self.page.title.is_empty();
        if is_end {
            self.page.title = squeezed(&self.page.title);
        }
    }

    fn field(&mut self, tag: &Tag) {
        let Some(form) = self.page.forms.last_mut() else {
            return;
        };
        let kind = match (tag.name.as_str(), tag.value("type").to_lowercase()) {
            ("button", kind) if kind.is_empty() => "submit".to_owned(),
            (_, kind) if kind.is_empty() => "text".to_owned(),
            (_, kind) => kind,
        };
        let is_unchecked = matches!(kind.as_str(), "checkbox" | "radio") && !tag.has("checked");
        let field = Field {
            name: tag.value("name"),
            value: tag.value("value"),
            kind,
        };
        if field.name.is_empty() || is_unchecked {
            return;
        }
        match field.kind.as_str() {
            "submit" | "image" => form.buttons.push(field),
            "button" | "reset" => {}
            _ => form.fields.push(field),
        }
    }

    fn follow_message(&mut self, tag: &Tag) {
        match &mut self.message {
            Some(message) if message.tag == tag.name && !tag.is_end => message.depth += 1,
            Some(message) if message.tag == tag.name && message.depth > 1 => message.depth -= 1,
            Some(message) if message.tag == tag.name => {
                let text = squeezed(&message.text);
                self.message = None;
                if !text.is_empty() {
                    self.page.messages.push(text);
                }
            }
            None if tag.is_message() => {
                self.message = Some(Message {
                    tag: tag.name.clone(),
                    depth: 1,
                    text: String::new(),
                });
            }
            Some(_) | None => {}
        }
    }
}

/// One start or end tag.
#[derive(Debug, Default)]
struct Tag {
    name: String,
    is_end: bool,
    attributes: Vec<(String, String)>,
}

impl Tag {
    /// Reads the tag at the start of `text`, which begins with `<`; returns it and what comes after it.
    fn read(text: &str) -> Option<(Self, &str)> {
        let inner = &text[1..];
        let (is_end, inner) = match inner.strip_prefix('/') {
            Some(inner) => (true, inner),
            None => (false, inner),
        };
        if !inner.starts_with(|character: char| character.is_ascii_alphabetic()) {
            return None;
        }
        let name_end = inner
            .find(|character: char| character.is_whitespace() || matches!(character, '/' | '>'))
            .unwrap_or(inner.len());
        let mut tag = Self {
            name: inner[..name_end].to_lowercase(),
            is_end,
            attributes: Vec::new(),
        };
        let mut rest = &inner[name_end..];
        loop {
            rest = rest.trim_start_matches(|character: char| character.is_whitespace() || character == '/');
            if rest.is_empty() || rest.starts_with('>') {
                return Some((tag, rest.strip_prefix('>').unwrap_or(rest)));
            }
            let (attribute, after) = read_attribute(rest);
            tag.attributes.push(attribute);
            rest = after;
        }
    }

    fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(key, _)| key == name)
    }

    fn value(&self, name: &str) -> String {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    fn is_message(&self) -> bool {
        let names = format!("{} {}", self.value("class"), self.value("id"));
        !self.is_end
            && !VOID.contains(&self.name.as_str())
            && MESSAGE_MARKS.iter().any(|mark| names.contains(mark))
    }
}

/// Reads `name`, `name=value`, `name="value"` or `name='value'`.
fn read_attribute(text: &str) -> ((String, String), &str) {
    let name_end = text
        .char_indices()
        .skip(1)
        .find(|(_, character)| character.is_whitespace() || matches!(character, '=' | '>' | '/'))
        .map_or(text.len(), |(index, _)| index);
    let name = text[..name_end].to_lowercase();
    let Some(value) = text[name_end..]
        .trim_start()
        .strip_prefix('=')
        .map(str::trim_start)
    else {
        return ((name, String::new()), &text[name_end..]);
    };
    let quote = value
        .chars()
        .next()
        .filter(|character| matches!(character, '"' | '\''));
    let (value, rest) = if let Some(quote) = quote {
        let inner = &value[1..];
        inner.split_once(quote).unwrap_or((inner, ""))
    } else {
        let end = value
            .find(|character: char| character.is_whitespace() || character == '>')
            .unwrap_or(value.len());
        value.split_at(end)
    };
    ((name, decoded(value)), rest)
}

/// Where the text of an element that holds no markup ends; 0 for all others.
fn raw_text_end(tag: &Tag, after: &str) -> usize {
    if tag.is_end || !matches!(tag.name.as_str(), "script" | "style") {
        return 0;
    }
    // Lower case keeps the byte positions: only ASCII letters change.
    let end = after.to_ascii_lowercase().find(&format!("</{}", tag.name));
    end.unwrap_or(after.len())
}

/// Skips a comment, a declaration, or a `<` that begins nothing.
fn after_other_markup(text: &str) -> &str {
    let end = if text.starts_with("<!--") {
        text.find("-->").map(|at| at + 3)
    } else if text.starts_with("<!") || text.starts_with("<?") {
        text.find('>').map(|at| at + 1)
    } else {
        Some(1)
    };
    end.map_or("", |at| &text[at..])
}

/// One line: entities decoded, runs of white space as one space.
fn squeezed(text: &str) -> String {
    decoded(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Decodes numeric character references and the named ones that occur in attributes and messages.
fn decoded(text: &str) -> String {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(';').filter(|end| *end <= 10);
        if let Some((character, end)) = end.and_then(|end| Some((character(&rest[1..end])?, end))) {
            decoded.push(character);
            rest = &rest[end + 1..];
        } else {
            decoded.push('&');
            rest = &rest[1..];
        }
    }
    decoded.push_str(rest);
    decoded
}

fn character(reference: &str) -> Option<char> {
    match reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let digits = reference.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOGIN: &str = r#"<!DOCTYPE html><html><head><title>
        Sign in &ndash; Forge &amp; Co</title>
        <script>if (a < b) { document.write("<form action='/evil'><input name=x></form>") }</script></head>
        <body><!-- <form action="/commented"> -->
        <form action="/search"><input name="q"></form>
        <div class="ui negative message flash-message flash-error"><div></div><p>Wrong &lt;name&gt; or password</p></div>
        <FORM class='form' action="/user/login?redirect_to=%2Fa&amp;x=1" method="post">
        <input type="hidden" name="_csrf" value="a&#43;b&#x3D;&quot;">
        <input id=user_name name=user_name required autofocus value="">
        <input name="password" type="PASSWORD"/>
        <input name="remember" type="checkbox"><input name="keep" type="checkbox" checked value="yes">
        <button class="ui primary button">Sign in</button>
        </FORM></body></html>"#;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn test_login_page() {
        let page = Page::read(LOGIN);
        assert_eq!(page.title, "Sign in &ndash; Forge & Co");
        assert_eq!(page.messages, ["Wrong <name> or password"]);
        assert_eq!(page.forms.len(), 2, "{page:?}");
        assert!(!page.forms[0].asks_password());
        let form = &page.forms[1];
        assert!(form.asks_password());
        assert_eq!(form.action, "/user/login?redirect_to=%2Fa&x=1");
        assert_eq!(
            form.filled("ada", "pass word"),
            pairs(&[
                ("_csrf", "a+b=\""),
                ("user_name", "ada"),
                ("password", "pass word"),
                ("keep", "yes")
            ])
        );
    }

    #[test]
    fn test_consent_page_sends_only_the_pressed_button() {
        let page = Page::read(
            r#"<title>Authorize</title><svg><title>icon</title></svg><form action="/grant"><input type=hidden name=state value=s>
            <button type="submit" name="granted" value="true">Yes</button>
            <button type="submit" name="granted" value="false">No</button></form>"#,
        );
        assert_eq!(page.title, "Authorize");
        let form = &page.forms[0];
        assert_eq!(
            form.pressed("granted", "true"),
            Some(pairs(&[("state", "s"), ("granted", "true")]))
        );
        assert_eq!(form.pressed("accept", "true"), None);
    }

    #[test]
    fn test_broken_pages_are_read_as_far_as_they_go() {
        for html in [
            "",
            "<",
            "<form",
            "<form action='x",
            "<a b=",
            "a < b",
            "<!--",
            "&#xZZ;<title>&;",
            "<script>x",
        ] {
            Page::read(html);
        }
        assert_eq!(Page::read("<form action=/x>").forms[0].action, "/x");
        assert_eq!(
            decoded("a & b &unknown; &#99999999;"),
            "a & b &unknown; &#99999999;"
        );
    }

    proptest! {
        #[test]
        fn test_no_page_makes_the_reader_fail(html in "(<|>|/|=|\"|'|&|;|#|!|-|form|input|script|title|ä|[ a-z])*") {
            Page::read(&html);
        }

        #[test]
        fn test_values_come_back_as_they_were_escaped(value in "[ -~äß]*") {
            let escaped = value.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
            let page = Page::read(&format!("<form><input name=\"n\" value=\"{escaped}\"></form>"));
            prop_assert_eq!(&page.forms[0].fields[0].value, &value);
        }
    }
}
