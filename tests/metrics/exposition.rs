//! A parser of OpenMetrics text that takes what the specification allows and nothing else, as far as this crate writes it:
//! gauges, counters and histograms, without timestamps and exemplars.

use std::collections::{BTreeMap, BTreeSet};

/// Sample names with their labels, in order, and the value as it is written.
pub type Samples = BTreeMap<(String, Vec<(String, String)>), f64>;

struct Family {
    name: String,
    kind: String,
}

/// The samples of a text; a panic says what is wrong with it.
pub fn parse(text: &str) -> Samples {
    let body = text.strip_suffix("# EOF\n").expect("it ends with `# EOF`");
    let (mut samples, mut names) = (Samples::new(), BTreeSet::new());
    let mut family: Option<Family> = None;
    let mut has_samples = false;
    for line in body.split_terminator('\n') {
        assert!(!line.is_empty() && !line.contains('\r'), "{line:?}");
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let [word, name, rest] = [(); 3].map(|()| words.next().expect("three words"));
            match word {
                "TYPE" => {
                    assert!(is_name(name) && names.insert(name.to_owned()), "{name} comes twice");
                    assert!(["gauge", "counter", "histogram"].contains(&rest), "{rest}");
                    assert!(!name.ends_with("_total"), "{name} is the name of a sample");
                    family = Some(Family { name: name.to_owned(), kind: rest.to_owned() });
                    has_samples = false;
                }
                "UNIT" | "HELP" => {
                    let family = family.as_ref().expect("TYPE comes first");
                    assert!(family.name == name && !has_samples, "{line}");
                    assert!(word == "HELP" || name.ends_with(&format!("_{rest}")), "{name} does not end with {rest}");
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let family = family.as_ref().expect("TYPE comes first");
        has_samples = true;
        let (name, labels, value) = sample(line);
        let suffix = name.strip_prefix(&family.name).unwrap_or_else(|| panic!("{name} is not of {}", family.name));
        let has_bound = labels.iter().any(|(label, _)| label == "le");
        match family.kind.as_str() {
            "gauge" => assert_eq!(suffix, ""),
            "counter" => assert!(suffix == "_total" && value >= 0.0, "{line}"),
            _ => assert!(["_sum", "_count"].contains(&suffix) || suffix == "_bucket" && has_bound, "{line}"),
        }
        let is_new = samples.insert((name.to_owned(), labels), value).is_none();
        assert!(is_new, "twice: {line}");
    }
    for name in names {
        check_histogram(&samples, &name);
    }
    samples
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_' || first == b':')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

fn sample(line: &str) -> (&str, Vec<(String, String)>, f64) {
    let end = line.find(['{', ' ']).expect("a name");
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{name}");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, value) = rest.split_once("=\"").expect("a label");
            assert!(is_name(label) && !label.contains(':'), "{label}");
            assert!(labels.iter().all(|(other, _)| other != label), "{label} comes twice");
            let (value, after) = unescape(value);
            labels.push((label.to_owned(), value));
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}').expect("the end of the labels");
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("one space before the value");
    assert!(!value.contains(' '), "{line}");
    (name, labels, value.parse().unwrap_or_else(|_| panic!("{value:?} is no number")))
}

/// The value of a label up to its quote, and what follows that.
fn unescape(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next().expect("a quote at the end").1 {
            '"' => return (value, chars.as_str()),
            '\\' => value.push(match chars.next().expect("something escaped").1 {
                'n' => '\n',
                char @ ('\\' | '"') => char,
                char => panic!("\\{char} is no escape"),
            }),
            char => value.push(char),
        }
    }
}

/// Buckets ascend, and the last one is the count.
fn check_histogram(samples: &Samples, name: &str) {
    let of = |suffix: &str| {
        let name = format!("{name}{suffix}");
        samples.iter().filter(move |((found, _), _)| *found == name)
    };
    let mut buckets: Vec<(f64, f64)> = of("_bucket")
        .map(|((_, labels), count)| {
            let bound = &labels.iter().find(|(label, _)| label == "le").unwrap().1;
            assert!(bound == "+Inf" || bound.contains('.'), "{bound} is no floating-point number");
            (if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() }, *count)
        })
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    if let Some(last) = buckets.last() {
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        assert_eq!((last.0, Some(&last.1)), (f64::INFINITY, of("_count").next().map(|(_, count)| count)));
        assert!(of("_sum").next().is_some());
    }
}

#[test]
fn the_parser_takes_nothing_that_is_wrong() {
    let good = "# TYPE a gauge\n# HELP a text\na{b=\"c\\\\d\"} 1\n# EOF\n";
    assert_eq!(parse(good).len(), 1);
    for (from, to) in [
        ("# EOF\n", ""),
        ("# TYPE a gauge\n", ""),
        ("# HELP a text\n", "# HELP b text\n"),
        ("a{b", "c{b"),
        ("\\\\", "\\x"),
        ("\"} 1", "\"}  1"),
        ("} 1\n", "} 1\na{b=\"c\\\\d\"} 2\n"),
        (" 1\n", " one\n"),
        ("gauge", "counter"),
        ("# EOF\n", "# TYPE a gauge\n# EOF\n"),
        ("# HELP a text\n", "# UNIT a seconds\n"),
        ("# EOF\n", "\n# EOF\n"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert!(std::panic::catch_unwind(|| parse(&bad)).is_err(), "{bad}");
    }
}
