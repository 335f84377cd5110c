//! C++17: one header, every array and function `constexpr`.

use std::sync::LazyLock;

use minijinja::{Environment, context};

use super::{
    Artifact, EmitError, Request,
    c_family::{self, Dialect, crc_table},
    sample::sample,
};

pub(super) fn emit(request: &Request<'_>) -> Result<Vec<Artifact>, EmitError> {
    static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| c_family::environment(&TEMPLATES));
    let dialect = Dialect {
        function: "constexpr",
        array: "inline constexpr",
        own: String::new(),
        end: "",
        casts: ["static_cast<unsigned char>", "static_cast<uint32_t>", "static_cast<uint64_t>"],
        gathers: false,
        text_parameters: "std::string_view key",
    };
    let word = c_family::unsigned(request.table.head().key_type.bits() / 8);
    let facts = context! {
        byte => "char",
        size => "static_cast<size_t>",
        text_opening => "const char *bytes = key.data();\n    const size_t length = key.size();",
        word_cast => format!("static_cast<{word}>"),
        pext => false,
        instructions => false,
        crc_table => crc_table(),
        ..c_family::facts(request, &dialect)
    };
    let name = request.name;
    let render = |file: String, template: &str, facts: &minijinja::Value| -> Result<Artifact, EmitError> {
        let text = ENVIRONMENT.get_template(template)?.render(facts)?;
        Ok(Artifact { name: file, bytes: text.into_bytes() })
    };
    let mut artifacts = vec![render(format!("{name}.hpp"), "cpp_header.j2", &facts)?];
    if request.tests {
        let facts = context! { sample => sample(request), ..facts };
        artifacts.push(render(format!("{name}_test.cpp"), "cpp_test.j2", &facts)?);
        artifacts.push(render(format!("{name}_bench.cpp"), "cpp_bench.j2", &facts)?);
    }
    Ok(artifacts)
}

const TEMPLATES: [(&str, &str); 3] = [
    ("cpp_header.j2", include_str!("../templates/cpp_header.j2")),
    ("cpp_test.j2", include_str!("../templates/cpp_test.j2")),
    ("cpp_bench.j2", include_str!("../templates/cpp_bench.j2")),
];
